/** Who may send requests to the in-process S3 and KMS, and which names of objects survive the signing. */
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  KMSClient,
  ListAliasesCommand,
  ListKeysCommand,
} from "@aws-sdk/client-kms";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ServiceException,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalAws, type LocalClientConfig, startLocalAws } from "../../src/testing/index.js";
import { expectBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { type RawRequest, send, sendSigned, sha256Hex, signedHeaders } from "./raw.js";

const Bucket = "test-bucket";
const minute = 60_000;

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

/** How KMS and S3 answer a client with this configuration, which does not retry. */
async function failures(change: (config: LocalClientConfig) => object): Promise<string[]> {
  const s3 = new S3Client({ ...change(aws.s3Config), maxAttempts: 1 });
  const kms = new KMSClient({ ...change(aws.kmsConfig), maxAttempts: 1 });
  const put = new PutObjectCommand({ Bucket, Key: "refused", Body: "x" });
  const errors = [await errorOf(() => s3.send(put)), await errorOf(() => kms.send(new CreateKeyCommand({})))];
  s3.destroy();
  kms.destroy();
  return errors.map(({ name }) => name);
}

describe("the in-process AWS refuses a client", () => {
  test.each<[string, (config: LocalClientConfig) => object, string[]]>([
    [
      "with a wrong secret",
      (config) => ({ ...config, credentials: { ...config.credentials, secretAccessKey: "wrong" } }),
      ["SignatureDoesNotMatch", "InvalidSignatureException"],
    ],
    [
      "with a wrong key id",
      (config) => ({ ...config, credentials: { ...config.credentials, accessKeyId: "AKIAWRONG" } }),
      ["InvalidAccessKeyId", "UnrecognizedClientException"],
    ],
    [
      "with another Region",
      (config) => ({ ...config, region: "us-east-1" }),
      ["AuthorizationHeaderMalformed", "InvalidSignatureException"],
    ],
    [
      "with no signature",
      (config) => ({ ...config, signer: { sign: async (request: object) => request } }),
      ["AccessDenied", "MissingAuthenticationTokenException"],
    ],
    [
      "with a clock 16 minutes behind",
      (config) => ({ ...config, systemClockOffset: -16 * minute }),
      ["RequestTimeTooSkewed", "InvalidSignatureException"],
    ],
    [
      "with a clock 16 minutes ahead",
      (config) => ({ ...config, systemClockOffset: 16 * minute }),
      ["RequestTimeTooSkewed", "InvalidSignatureException"],
    ],
  ])("%s", async (_, change, expected) => {
    expect(await failures(change)).toEqual(expected);
    const { KeyCount } = await aws.s3.send(new ListObjectsV2Command({ Bucket, Prefix: "refused" }));
    expect(KeyCount).toBe(0);
    expect((await aws.kms.send(new ListKeysCommand({}))).Keys).toEqual([]);
  });

  test("with the status 403", async () => {
    const credentials = { ...aws.s3Config.credentials, secretAccessKey: "wrong" };
    const s3 = new S3Client({ ...aws.s3Config, credentials, maxAttempts: 1 });
    const error = await errorOf(() => s3.send(new GetObjectCommand({ Bucket, Key: "x" })));
    expect((error as S3ServiceException).$metadata.httpStatusCode).toBe(403);
    s3.destroy();
  });
});

test("a clock that is 14 minutes off is accepted, and the SDK corrects a larger difference from the response", async () => {
  const list = new ListObjectsV2Command({ Bucket });
  for (const minutes of [-14, 14]) {
    const s3 = new S3Client({ ...aws.s3Config, systemClockOffset: minutes * minute, maxAttempts: 1 });
    expect((await s3.send(list)).$metadata.httpStatusCode).toBe(200);
    s3.destroy();
  }
  const s3 = new S3Client({ ...aws.s3Config, systemClockOffset: 60 * minute, maxAttempts: 1 });
  expect((await errorOf(() => s3.send(list))).name).toBe("RequestTimeTooSkewed");
  expect((await s3.send(list)).$metadata.httpStatusCode).toBe(200);
  s3.destroy();
});

describe("a signed request is refused", () => {
  const path = `/${Bucket}/raw`;
  const good: RawRequest = {
    method: "PUT",
    path,
    query: { "x-id": "PutObject" },
    headers: { "x-amz-meta-a": "b" },
    body: "x",
  };
  const mismatch = { status: 403, code: "SignatureDoesNotMatch" };

  test("unless it is valid", async () => {
    expect(await sendSigned(aws.s3Config, good)).toMatchObject({ status: 200 });
  });

  test.each<[string, Partial<RawRequest>]>([
    ["method", { method: "DELETE" }],
    ["path", { path: `${path}2` }],
    ["query", { query: { "x-id": "Other" } }],
    ["query, by one more", { query: { ...good.query, uploadId: "a" } }],
    ["query, by one less", { query: {} }],
  ])("when its %s changes on the way", async (_, change) => {
    const headers = await signedHeaders(aws.s3Config, good);
    expect(await send(aws.s3Config, { ...good, ...change }, headers)).toMatchObject(mismatch);
    expect(await send(aws.s3Config, good, headers)).toMatchObject({ status: 200 });
  });

  test.each<[string, Record<string, string>, object]>([
    ["a changed header", { "x-amz-meta-a": "c" }, mismatch],
    ["a header that was not signed", { "x-amz-meta-b": "c" }, { status: 403, code: "AccessDenied" }],
    ["another hash of the body", { "x-amz-content-sha256": sha256Hex("y") }, mismatch],
    [
      "an authorization of another kind",
      { authorization: "Bearer x" },
      { status: 403, code: "AccessDenied" },
    ],
    ["an empty authorization", { authorization: "" }, { status: 403, code: "AccessDenied" }],
    ["a date that is none", { "x-amz-date": "yesterday" }, mismatch],
  ])("with %s", async (_, change, expected) => {
    const headers = { ...(await signedHeaders(aws.s3Config, good)), ...change };
    expect(await send(aws.s3Config, good, headers)).toMatchObject(expected);
  });

  test("when its authorization names another day, service or list of headers", async () => {
    const headers = await signedHeaders(aws.s3Config, good);
    const { authorization = "" } = headers;
    for (const [from, to] of [
      [/\/\d{8}\//, "/20200101/"],
      ["/s3/", "/kms/"],
      [/SignedHeaders=host;/, "SignedHeaders="],
      ["x-amz-meta-a", "x-amz-meta-c"],
      [/Signature=./, "Signature=g"],
    ] as const) {
      const changed = authorization.replace(from, to);
      expect(changed).not.toBe(authorization);
      const answer = await send(aws.s3Config, good, { ...headers, authorization: changed });
      const told = ["Signature=g", "SignedHeaders=", "x-amz-meta-c"].includes(to);
      const code = told ? "AccessDenied" : "SignatureDoesNotMatch";
      expect(answer, String(from)).toMatchObject({ status: 403, code });
    }
  });

  test("without any of the signer's headers", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await send(aws.s3Config, { method, path }, {});
      expect(answer).toMatchObject({ status: 403, code: "AccessDenied" });
    }
  });

  test("when it was signed too long ago, but not when it was signed recently", async () => {
    for (const [minutes, expected] of [
      [-16, { status: 403, code: "RequestTimeTooSkewed" }],
      [16, { status: 403, code: "RequestTimeTooSkewed" }],
      [-14, { status: 200 }],
      [14, { status: 200 }],
    ] as const) {
      const signingDate = new Date(Date.now() + minutes * minute);
      expect(await sendSigned(aws.s3Config, { ...good, signingDate })).toMatchObject(expected);
    }
  });

  test("when the body of a KMS request changes on the way", async () => {
    const headers = {
      "x-amz-target": "TrentService.ListKeys",
      "content-type": "application/x-amz-json-1.1",
    };
    const raw: RawRequest = { method: "POST", path: "/", service: "kms", headers, body: "{}" };
    expect(await sendSigned(aws.kmsConfig, raw)).toMatchObject({ status: 200 });
    const signed = await signedHeaders(aws.kmsConfig, raw);
    const answer = await send(aws.kmsConfig, { ...raw, body: "{ }" }, signed);
    expect(answer).toMatchObject({ status: 400, code: "InvalidSignatureException" });
    for (const body of ["", "[]", "null", "{"]) {
      const none = await sendSigned(aws.kmsConfig, { ...raw, body });
      expect(none).toMatchObject({ status: 400, code: "SerializationException" });
    }
  });
});

describe("object keys in signed requests", () => {
  test.each([
    "with spaces in it",
    "plus+and%20percent%2F",
    "ünï/cödé/漢字/😀",
    "/leading/and/trailing/",
    "double//slash",
    "a/./b/../c",
    "!'()*~-_.",
    "q?x=1&y=2#z",
    ':@$,;=[]{}|^`\\<>"',
    "uploads",
    "%",
  ])("%s", async (Key) => {
    const Body = Buffer.from(`bytes of ${Key}`);
    await aws.s3.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { a: "b   c" } }));
    const got = await aws.s3.send(new GetObjectCommand({ Bucket, Key }));
    expectBytes((await got.Body?.transformToByteArray()) ?? new Uint8Array(), Body);
    expect((await aws.s3.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength).toBe(Body.length);
    const { Contents } = await aws.s3.send(
      new ListObjectsV2Command({ Bucket, Prefix: Key, StartAfter: [...Key].slice(0, -1).join("") }),
    );
    expect(Contents?.map((one) => one.Key)).toEqual([Key]);
    await aws.s3.send(new DeleteObjectCommand({ Bucket, Key }));
    const gone = await errorOf(() => aws.s3.send(new GetObjectCommand({ Bucket, Key })));
    expect(gone.name).toBe("NoSuchKey");
  });
});

test("a header that is not ASCII may be signed as its bytes, or as a character for each", async () => {
  const text = "ünï 漢 😀";
  const bytes = Buffer.from(text).toString("latin1");
  const put = async (signedAs: string, sent: string) => {
    const raw = { method: "PUT", path: `/${Bucket}/words` };
    const signed = await signedHeaders(aws.s3Config, { ...raw, headers: { "x-amz-meta-words": signedAs } });
    return send(aws.s3Config, raw, { ...signed, "x-amz-meta-words": sent });
  };
  for (const signedAs of [text, bytes]) {
    expect(await put(signedAs, bytes)).toMatchObject({ status: 200 });
    const { Metadata } = await aws.s3.send(new HeadObjectCommand({ Bucket, Key: "words" }));
    expect(Metadata).toEqual({ words: `=?UTF-8?B?${Buffer.from(bytes).toString("base64")}?=` });
  }
  expect(await put(text, `${bytes}!`)).toMatchObject({ status: 403, code: "SignatureDoesNotMatch" });
});

test("names and descriptions of KMS are signed correctly", async () => {
  const Description = 'a + b / c & ünï 漢 😀 "quoted" \\ \u2028';
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({ Description }));
  const AliasName = "alias/some/long_name-1";
  await aws.kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: KeyMetadata?.KeyId }));
  const told = await aws.kms.send(new DescribeKeyCommand({ KeyId: AliasName }));
  expect(told.KeyMetadata?.Description).toBe(Description);
  expect((await aws.kms.send(new ListAliasesCommand({}))).Aliases).toMatchObject([{ AliasName }]);
});
