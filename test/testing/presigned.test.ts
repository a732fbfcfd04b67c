/** Requests to the in-process S3 that are signed in their query. */
import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { SignatureV4 } from "@smithy/signature-v4";
import { describe, expect, test } from "vitest";
import { Bucket, useLocalAws } from "../support/local.js";

const local = useLocalAws();

class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret as Uint8Array);
  }
  update(bytes: Uint8Array | string): void {
    this.#hash.update(bytes);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

/** A URL as the SDK's own presigner makes it: with the headers of S3 in its query. */
async function presign(
  method: "GET" | "PUT",
  key: string,
  headers: Record<string, string> = {},
  options: { signingDate?: Date; expiresIn?: number } = {},
): Promise<URL> {
  const { endpoint, region, credentials } = local.aws.s3Config;
  const { hostname, port, host } = new URL(endpoint);
  const signer = new SignatureV4({
    credentials,
    region,
    service: "s3",
    sha256: Sha256 as never,
    uriEscapePath: false,
  });
  const path = `/${Bucket}/${key}`;
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
    { unsignableHeaders: new Set(["content-type", "x-amz-content-sha256"]), expiresIn: 60, ...options },
  );
  const url = new URL(endpoint);
  url.pathname = path;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  return url;
}

async function failure(request: Promise<Response>): Promise<[number, string | undefined]> {
  const answer = await request;
  return [answer.status, /<Code>(.*?)<\/Code>/.exec(await answer.text())?.[1]];
}

describe("presigned", () => {
  test("PUT stores, with the metadata that was signed, and GET reads", async () => {
    const put = await presign("PUT", "signed", { "x-amz-meta-colour": "blue" });
    expect(put.searchParams.get("x-amz-meta-colour")).toBe("blue");
    expect((await fetch(put, { method: "PUT", body: "content" })).status).toBe(200);
    const head = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "signed" }));
    expect(head.Metadata).toEqual({ colour: "blue" });
    const answer = await fetch(await presign("GET", "signed"));
    expect([answer.status, await answer.text()]).toEqual([200, "content"]);
    const operations = local.aws.requests.map(({ operation }) => operation);
    expect(operations).toEqual(["PutObject", "HeadObject", "GetObject"]);
  });

  test("a request that is changed is refused", async () => {
    await local.putRaw("other", Buffer.from("secret"));
    const url = await presign("GET", "signed");
    url.pathname = `/${Bucket}/other`;
    expect(await failure(fetch(url))).toEqual([403, "SignatureDoesNotMatch"]);
    const verb = await presign("GET", "other");
    expect(await failure(fetch(verb, { method: "PUT", body: "x" }))).toEqual([403, "SignatureDoesNotMatch"]);
    const added = await presign("PUT", "other");
    added.searchParams.set("x-amz-meta-a", "b");
    expect(await failure(fetch(added, { method: "PUT", body: "x" }))).toEqual([403, "SignatureDoesNotMatch"]);
    expect((await local.getRaw("other")).bytes.toString()).toBe("secret");
  });

  test("its time ends", async () => {
    const signingDate = new Date(Date.now() - 61_000);
    expect(await failure(fetch(await presign("GET", "signed", {}, { signingDate })))).toEqual([
      403,
      "AccessDenied",
    ]);
  });

  test.each<[string, string]>([
    ["X-Amz-Expires", "604801"],
    ["X-Amz-Expires", "0"],
    ["X-Amz-Expires", "soon"],
    ["X-Amz-Credential", "none"],
    ["X-Amz-Signature", "00"],
    ["X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"],
  ])("%s of %s is refused", async (name, value) => {
    const url = await presign("GET", "signed");
    url.searchParams.set(name, value);
    expect(await failure(fetch(url))).toEqual([400, "AuthorizationQueryParametersError"]);
  });

  test("another key id is refused", async () => {
    const url = await presign("GET", "signed");
    const credential = url.searchParams.get("X-Amz-Credential") ?? "";
    url.searchParams.set("X-Amz-Credential", credential.replace(/^[^/]+/, "AKIAOTHER"));
    expect(await failure(fetch(url))).toEqual([403, "InvalidAccessKeyId"]);
  });

  test("a request with neither signature is refused", async () => {
    const { endpoint } = local.aws.s3Config;
    expect(await failure(fetch(`${endpoint}/${Bucket}/signed`))).toEqual([403, "AccessDenied"]);
    await local.s3.send(new PutObjectCommand({ Bucket, Key: "signed", Body: "content" }));
    const { Body } = await local.s3.send(new GetObjectCommand({ Bucket, Key: "signed" }));
    expect(await Body?.transformToString()).toBe("content");
  });
});
