/**
 * A key and a certificate of 127.0.0.1 for servers in tests, good from 2020 to 2119. Made once by OpenSSL 3: a
 * P-256 key, `openssl ca -selfsign` with `-startdate` and `-enddate`, subjectAltName IP:127.0.0.1; they guard nothing.
 */
import { readFileSync } from "node:fs";

const read = (name: string) => readFileSync(new URL(`tls/${name}`, import.meta.url), "utf8");

export const tls = { key: read("key.pem"), cert: read("cert.pem") };
