/**
 * A key and a certificate of 127.0.0.1 and localhost for servers in tests, good from 2020 to 2119. Made once by
 * OpenSSL 3: a P-256 key, `openssl ca -selfsign` with `-startdate` and `-enddate`, basicConstraints critical,CA:FALSE,
 * extendedKeyUsage serverAuth, subjectAltName IP:127.0.0.1,DNS:localhost. The key is public; they guard nothing.
 */
import { readFileSync } from "node:fs";

const read = (name: string) => readFileSync(new URL(`tls/${name}`, import.meta.url), "utf8");

export const tls = { key: read("key.pem"), cert: read("cert.pem") };
