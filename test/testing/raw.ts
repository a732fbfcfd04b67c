/** Requests that the SDK would not send, signed by its own signer and sent as they are. */
import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { type IncomingHttpHeaders, request } from "node:http";
import { SignatureV4 } from "@smithy/signature-v4";
import type { LocalClientConfig } from "../../src/testing/index.js";

/** One request. */
export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
  readonly service?: "s3" | "kms";
  readonly region?: string;
  readonly signingDate?: Date;
}

/** The answer to it. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** What S3 writes into the Code element of an error, or KMS into `__type`. */
  readonly code: string | undefined;
}

class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    const key = secret as string | Uint8Array | undefined;
    this.#hash = key === undefined ? createHash("sha256") : createHmac("sha256", key);
  }
  update(bytes: Uint8Array | string): void {
    this.#hash.update(bytes);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

/** A URL as the SDK's own presigner makes it: with the headers of S3 in its query, good for a minute. */
export async function presignedUrl(
  { endpoint, region, credentials }: LocalClientConfig,
  { method = "GET", path, headers = {}, signingDate = new Date() }: RawRequest,
): Promise<URL> {
  const url = new URL(endpoint);
  const { hostname, port, host } = url;
  const signer = new SignatureV4({
    credentials,
    region,
    service: "s3",
    sha256: Sha256 as never,
    uriEscapePath: false,
  });
  const { query = {} } = await signer.presign(
    {
      method,
      protocol: "http:",
      hostname,
      port: Number(port),
      path,
      query: {},
      headers: { host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", ...headers },
    },
    { unsignableHeaders: new Set(["content-type", "x-amz-content-sha256"]), expiresIn: 60, signingDate },
  );
  url.pathname = path;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  return url;
}

/** The headers of a request with those of its signature. */
export async function signedHeaders(
  config: LocalClientConfig,
  { method = "GET", path, query = {}, headers = {}, body = "", ...rest }: RawRequest,
): Promise<Record<string, string>> {
  const { hostname, port, host } = new URL(config.endpoint);
  const signer = new SignatureV4({
    credentials: config.credentials,
    region: rest.region ?? config.region,
    service: rest.service ?? "s3",
    sha256: Sha256 as never,
    uriEscapePath: false,
  });
  const signed = await signer.sign(
    {
      method,
      protocol: "http:",
      hostname,
      port: Number(port),
      path,
      query,
      headers: { "x-amz-content-sha256": sha256Hex(body), ...headers, host },
      body,
    },
    rest.signingDate ? { signingDate: rest.signingDate } : {},
  );
  return signed.headers as Record<string, string>;
}

/** Sends a request with just these headers. */
export function send(
  config: LocalClientConfig,
  { method = "GET", path, query = {}, body = "" }: RawRequest,
  headers: Record<string, string>,
): Promise<RawAnswer> {
  const search = new URLSearchParams(query).toString();
  const length = "transfer-encoding" in headers ? {} : { "content-length": String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const options = {
      method,
      path: search === "" ? path : `${path}?${search}`,
      headers: { ...length, ...headers },
      agent: false,
    };
    const outgoing = request(config.endpoint, options as object, (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on("data", (piece: Buffer) => pieces.push(piece));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const text = Buffer.concat(pieces).toString("utf8");
        const code = /<Code>(.*?)<\/Code>/.exec(text) ?? /"__type":"(.*?)"/.exec(text);
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, code: code?.[1] });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Signs and sends a request. */
export async function sendSigned(config: LocalClientConfig, raw: RawRequest): Promise<RawAnswer> {
  return send(config, raw, await signedHeaders(config, raw));
}

/** The SHA-256 of a body in hex, as in `x-amz-content-sha256`. */
export function sha256Hex(body: Uint8Array | string): string {
  return createHash("sha256").update(body).digest("hex");
}
