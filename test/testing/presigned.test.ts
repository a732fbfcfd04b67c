/** Requests to the in-process S3 that are signed in their query. */
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { Bucket, useLocalAws } from "../support/local.js";
import { presignedUrl } from "./raw.js";

const local = useLocalAws();

const presign = (
  method: "GET" | "PUT",
  key: string,
  headers: Record<string, string> = {},
  options: { signingDate?: Date } = {},
) => presignedUrl(local.aws.s3Config, { method, path: `/${Bucket}/${key}`, headers, ...options });

async function failure(request: Promise<Response>): Promise<[number, string | undefined]> {
  const answer = await request;
  return [answer.status, /<Code>(.*?)<\/Code>/.exec(await answer.text())?.[1]];
}

describe("a presigned request to the in-process S3", () => {
  test("stores by PUT with the signed metadata, and reads by GET", async () => {
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

  test("is refused after a change", async () => {
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

  test("is recorded without its signature", async () => {
    await (await fetch(await presign("GET", "signed"))).text();
    const { query } = local.aws.requests.at(-1) ?? {};
    expect(query).toHaveProperty("X-Amz-Credential");
    expect(Object.keys(query ?? {})).not.toContain("X-Amz-Signature");
  });

  test("gets an error response for a header that cannot be returned", async () => {
    const redirect = "x-amz-website-redirect-location";
    const put = await presign("PUT", "unspeakable", { [redirect]: "/€" });
    expect((await fetch(put, { method: "PUT", body: "content" })).status).toBe(200);
    expect(await failure(fetch(await presign("GET", "unspeakable")))).toEqual([500, "InternalError"]);
  });

  test("for another Region is refused with the name of the right one", async () => {
    const config = { ...local.aws.s3Config, region: "us-west-2" };
    const answer = await fetch(await presignedUrl(config, { path: `/${Bucket}/signed` }));
    expect(answer.headers.get("x-amz-bucket-region")).toBe(local.aws.s3Config.region);
    expect(await failure(Promise.resolve(answer))).toEqual([400, "AuthorizationQueryParametersError"]);
  });

  test("is refused after it has expired", async () => {
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
  ])("with %s of %s is refused", async (name, value) => {
    const url = await presign("GET", "signed");
    url.searchParams.set(name, value);
    expect(await failure(fetch(url))).toEqual([400, "AuthorizationQueryParametersError"]);
  });

  test("with another access key ID is refused", async () => {
    const url = await presign("GET", "signed");
    const credential = url.searchParams.get("X-Amz-Credential") ?? "";
    url.searchParams.set("X-Amz-Credential", credential.replace(/^[^/]+/, "AKIAOTHER"));
    expect(await failure(fetch(url))).toEqual([403, "InvalidAccessKeyId"]);
  });

  test("with neither kind of signature is refused", async () => {
    const { endpoint } = local.aws.s3Config;
    expect(await failure(fetch(`${endpoint}/${Bucket}/signed`))).toEqual([403, "AccessDenied"]);
    await local.s3.send(new PutObjectCommand({ Bucket, Key: "signed", Body: "content" }));
    const { Body } = await local.s3.send(new GetObjectCommand({ Bucket, Key: "signed" }));
    expect(await Body?.transformToString()).toBe("content");
  });
});
