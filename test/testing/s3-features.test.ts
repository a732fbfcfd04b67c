/** What a request to the in-process S3 may ask for though it changes nothing, and what is refused by its name. */
import { createHash, createHmac } from "node:crypto";
import { request } from "node:http";
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { startLocalAws } from "../../src/testing/index.js";
import { failure } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { type RawRequest, send, sendSigned, sha256Hex, signedHeaders } from "./raw.js";

const local = useLocalAws();
const Key = "key";
const path = `/${Bucket}/${Key}`;
const configuration = (inner: string) => `<CreateBucketConfiguration>${inner}</CreateBucketConfiguration>`;
const versioning = (inner: string) => `<VersioningConfiguration>${inner}</VersioningConfiguration>`;

/** Request, then what is refused when the value is another; undefined when no value is. */
const harmless: [string, RawRequest, [value: string, named: string] | undefined][] = [
  ...["private", "bucket-owner-full-control"].flatMap((acl): [string, RawRequest, [string, string]][] => [
    [
      `PutObject, ACL ${acl}`,
      { method: "PUT", path, headers: { "x-amz-acl": acl } },
      ["public-read", "PutObject"],
    ],
    [
      `CopyObject, ACL ${acl}`,
      { method: "PUT", path, headers: { "x-amz-acl": acl, "x-amz-copy-source": `${Bucket}/source` } },
      ["authenticated-read", "CopyObject"],
    ],
    [
      `CreateMultipartUpload, ACL ${acl}`,
      { method: "POST", path, query: { uploads: "" }, headers: { "x-amz-acl": acl } },
      ["public-read-write", "CreateMultipartUpload"],
    ],
  ]),
  [
    "CreateBucket, ACL",
    { method: "PUT", path: "/harmless-acl", headers: { "x-amz-acl": "private" } },
    ["public-read", "CreateBucket"],
  ],
  [
    "CreateBucket without object lock",
    { method: "PUT", path: "/harmless-lock", headers: { "x-amz-bucket-object-lock-enabled": "false" } },
    ["true", "CreateBucket"],
  ],
  [
    "CreateBucket without object lock, as Python writes it",
    { method: "PUT", path: "/harmless-python", headers: { "x-amz-bucket-object-lock-enabled": "False" } },
    ["True", "CreateBucket"],
  ],
  [
    "CreateBucket with the ownership that is so anyway",
    { method: "PUT", path: "/harmless-owner", headers: { "x-amz-object-ownership": "BucketOwnerEnforced" } },
    ["ObjectWriter", "CreateBucket"],
  ],
  [
    "CreateBucket in the namespace of all",
    { method: "PUT", path: "/harmless-namespace", headers: { "x-amz-bucket-namespace": "global" } },
    ["account-regional", "CreateBucket"],
  ],
  [
    "DeleteObject in spite of a lock that is not there",
    { method: "DELETE", path, headers: { "x-amz-bypass-governance-retention": "true" } },
    undefined,
  ],
  [
    "CopyObject without annotations",
    {
      method: "PUT",
      path,
      headers: { "x-amz-object-annotation-directive": "EXCLUDE", "x-amz-copy-source": `${Bucket}/source` },
    },
    ["SOME", "CopyObject"],
  ],
  [
    "ListObjectsV2 with the state of restored copies",
    {
      path: `/${Bucket}`,
      query: { "list-type": "2" },
      headers: { "x-amz-optional-object-attributes": "RestoreStatus" },
    },
    ["Everything", "ListObjectsV2"],
  ],
];

describe("a header or parameter that changes nothing is accepted, and another value is refused by name:", () => {
  it.each(harmless)("%s", async (_, raw, other) => {
    await local.putRaw("source", Buffer.from("content"));
    expect((await sendSigned(local.aws.s3Config, raw)).status).toBeLessThan(300);
    if (!other) return;
    const [value, operation] = other;
    const [name = ""] = Object.keys(raw.headers ?? {});
    const headers = { ...raw.headers, [name]: value };
    const refused = await sendSigned(local.aws.s3Config, { ...raw, path: `${raw.path}-2`, headers });
    expect(refused).toMatchObject({ status: 501, code: "NotImplemented" });
    expect(refused.text).toContain(`${operation} with ${name}: ${value} is not implemented here.`);
    const { KeyCount } = await local.s3.send(new ListObjectsV2Command({ Bucket, Prefix: `${Key}-2` }));
    expect(KeyCount).toBe(0);
  });

  it("PutBucketVersioning without the deletion by token", async () => {
    const put = (body: string) =>
      sendSigned(local.aws.s3Config, { method: "PUT", path: `/${Bucket}`, query: { versioning: "" }, body });
    const status = "<Status>Suspended</Status>";
    expect((await put(versioning(`<MfaDelete>Disabled</MfaDelete>${status}`))).status).toBe(200);
    const refused = await put(versioning(`<MfaDelete>Enabled</MfaDelete>${status}`));
    expect(refused.text).toContain("PutBucketVersioning with MfaDelete Enabled is not implemented here.");
  });
});

/** Method, path, query, headers, body; then what the refusal names. */
const refused: [string, RawRequest][] = [
  ["GetObjectAcl", { path, query: { acl: "" } }],
  ["PutObjectAcl", { method: "PUT", path, query: { acl: "" } }],
  ["GetObjectRetention", { path, query: { retention: "" } }],
  ["PutObjectLegalHold", { method: "PUT", path, query: { "legal-hold": "" } }],
  ["RestoreObject", { method: "POST", path, query: { restore: "" } }],
  ["SelectObjectContent", { method: "POST", path, query: { select: "", "select-type": "2" } }],
  ["GetObjectTorrent", { path, query: { torrent: "" } }],
  ["RenameObject", { method: "PUT", path, query: { renameObject: "" } }],
  ["UpdateObjectEncryption", { method: "PUT", path, query: { encryption: "" } }],
  ["PutObjectAnnotation", { method: "PUT", path, query: { annotation: "", annotationName: "a" } }],
  ["DeleteObjectAnnotation", { method: "DELETE", path, query: { annotation: "", annotationName: "a" } }],
  ["ListObjectAnnotations", { path, query: { annotation: "" } }],
  ["GetBucketAcl", { path: `/${Bucket}`, query: { acl: "" } }],
  ["PutBucketAcl", { method: "PUT", path: `/${Bucket}`, query: { acl: "" } }],
  ["GetBucketPolicy", { path: `/${Bucket}`, query: { policy: "" } }],
  ["DeleteBucketPolicy", { method: "DELETE", path: `/${Bucket}`, query: { policy: "" } }],
  ["PutBucketLifecycleConfiguration", { method: "PUT", path: `/${Bucket}`, query: { lifecycle: "" } }],
  ["DeleteBucketLifecycle", { method: "DELETE", path: `/${Bucket}`, query: { lifecycle: "" } }],
  ["GetBucketTagging", { path: `/${Bucket}`, query: { tagging: "" } }],
  ["DeleteBucketTagging", { method: "DELETE", path: `/${Bucket}`, query: { tagging: "" } }],
  ["GetObjectLockConfiguration", { path: `/${Bucket}`, query: { "object-lock": "" } }],
  ["GetPublicAccessBlock", { path: `/${Bucket}`, query: { publicAccessBlock: "" } }],
  ["ListBucketInventoryConfigurations", { path: `/${Bucket}`, query: { inventory: "" } }],
  ["GetBucketInventoryConfiguration", { path: `/${Bucket}`, query: { inventory: "", id: "a" } }],
  ["CreateSession", { path: `/${Bucket}`, query: { session: "" } }],
  ["PostObject", { method: "POST", path: `/${Bucket}` }],
  ["PutObject with the parameter what-is-to-come", { method: "PUT", path, query: { "what-is-to-come": "" } }],
  [
    "ListObjectsV2 with the parameter marker",
    { path: `/${Bucket}`, query: { "list-type": "2", marker: "a" } },
  ],
  ["DeleteObject with if-none-match", { method: "DELETE", path, headers: { "if-none-match": "*" } }],
  [
    "PutObject with x-amz-what-is-to-come",
    { method: "PUT", path, headers: { "x-amz-what-is-to-come": "1" } },
  ],
  ["PutObject with If-None-Match other than *", { method: "PUT", path, headers: { "if-none-match": '"a"' } }],
  [
    "PutObject with x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    { method: "PUT", path, headers: { "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" } },
  ],
  [
    "PutObject with x-amz-checksum-xxhash3",
    { method: "PUT", path, headers: { "x-amz-checksum-xxhash3": "AAAAAAAAAAA=" } },
  ],
  [
    "CreateBucket with more than a LocationConstraint",
    { method: "PUT", path: "/refused", body: configuration("<Bucket><Type>Directory</Type></Bucket>") },
  ],
  ["PATCH", { method: "PATCH", path }],
];

describe("an unsupported feature is refused by name and has no effect:", () => {
  it.each(refused)("%s", async (name, raw) => {
    await local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "content" }));
    local.aws.clearRequests();
    const answer = await sendSigned(local.aws.s3Config, raw);
    expect(answer).toMatchObject({ status: 501, code: "NotImplemented" });
    expect(answer.text).toContain(`<Message>${name} is not implemented here.</Message>`);
    const operation = name === "PATCH" ? "Unknown" : name.split(" ")[0];
    expect(local.aws.requests.map((one) => one.operation)).toEqual([operation]);
    const { ContentLength } = await local.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect(ContentLength).toBe("content".length);
  });
});

describe("the encryption of S3", () => {
  it.each([
    ["GetObject", { path }],
    ["HeadObject", { method: "HEAD", path }],
    [
      "GetObjectAttributes",
      { path, query: { attributes: "" }, headers: { "x-amz-object-attributes": "ETag" } },
    ],
    ["UploadPart", { method: "PUT", path, query: { partNumber: "1", uploadId: "none" } }],
  ] as [string, RawRequest][])("cannot be selected by %s", async (_, raw) => {
    await local.putRaw(Key, Buffer.from("content"));
    const headers = { ...raw.headers, "x-amz-server-side-encryption": "AES256" };
    expect((await sendSigned(local.aws.s3Config, { ...raw, headers })).status).toBe(400);
  });
});

describe("a signature to the in-process S3", () => {
  /** Signs as the specification says, with no date but that of HTTP. */
  function dated(date: Date, headers: Record<string, string>): Record<string, string> {
    const { accessKeyId, secretAccessKey } = local.aws.s3Config.credentials;
    const { region, endpoint } = local.aws.s3Config;
    const stamp = date.toISOString().replace(/[-:]|\.\d{3}/g, "");
    const scope = [stamp.slice(0, 8), region, "s3", "aws4_request"];
    const all = { host: new URL(endpoint).host, "x-amz-content-sha256": sha256Hex(""), ...headers };
    const names = Object.keys(all).sort();
    const lines = names.map((name) => `${name}:${Reflect.get(all, name)}`);
    const canonical = ["GET", path, "", ...lines, "", names.join(";"), sha256Hex("")].join("\n");
    const digest = createHash("sha256").update(canonical).digest("hex");
    const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
    const signingKey = scope.reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
    const text = ["AWS4-HMAC-SHA256", stamp, scope.join("/"), digest].join("\n");
    const signature = hmac(signingKey, text).toString("hex");
    const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope.join("/")}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    return { ...all, authorization };
  }

  it("may be dated by the header Date alone", async () => {
    await local.putRaw(Key, Buffer.from("content"));
    const now = new Date();
    const good = dated(now, { date: now.toUTCString() });
    expect((await send(local.aws.s3Config, { path }, good)).text).toBe("content");
    const old = new Date(now.getTime() - 60 * 60_000);
    const stale = dated(old, { date: old.toUTCString() });
    expect((await send(local.aws.s3Config, { path }, stale)).code).toBe("RequestTimeTooSkewed");
    const changed = { ...good, date: new Date(now.getTime() + 60_000).toUTCString() };
    expect((await send(local.aws.s3Config, { path }, changed)).code).toBe("SignatureDoesNotMatch");
  });

  it("of version 2 is refused with the reason", async () => {
    const { host } = new URL(local.aws.s3Config.endpoint);
    const query = { AWSAccessKeyId: "AKIA", Signature: "c2ln", Expires: "4000000000" };
    for (const got of [
      await send(local.aws.s3Config, { path }, { host, authorization: "AWS AKIA:c2ln" }),
      await send(local.aws.s3Config, { path, query }, { host }),
    ]) {
      expect(got).toMatchObject({ status: 400, code: "InvalidRequest" });
      expect(got.text).toContain("Please use AWS4-HMAC-SHA256.");
    }
  });
});

describe("a client that waits for 100 Continue", () => {
  /** Sends the head, the body after 100 alone; gives the status, and whether 100 came. */
  async function expecting(raw: RawRequest, change: Record<string, string> = {}) {
    const body = "x".repeat(100_000);
    const headers = await signedHeaders(local.aws.s3Config, { ...raw, body });
    let continued = false;
    return new Promise<{ status: number; continued: boolean }>((resolve, reject) => {
      const outgoing = request(local.aws.s3Config.endpoint, {
        method: raw.method,
        path: raw.path,
        headers: { ...headers, "content-length": body.length, expect: "100-continue", ...change },
        agent: false,
      });
      outgoing.on("continue", () => {
        continued = true;
        outgoing.end(body);
      });
      outgoing.on("response", (incoming) => {
        incoming.resume();
        incoming.on("end", () => {
          resolve({ status: incoming.statusCode ?? 0, continued });
          outgoing.destroy();
        });
      });
      outgoing.on("error", reject);
      outgoing.flushHeaders();
    });
  }

  it("is sent 100 Continue if its request can be served", async () => {
    expect(await expecting({ method: "PUT", path })).toEqual({ status: 200, continued: true });
  });

  it.each<[string, RawRequest, Record<string, string>, number]>([
    ["its credentials are wrong", { method: "PUT", path }, { "x-amz-date": "20200101T000000Z" }, 403],
    ["its bucket is not there", { method: "PUT", path: "/no-such-bucket/key" }, {}, 404],
    ["its condition does not hold", { method: "PUT", path, headers: { "if-match": '"a"' } }, {}, 412],
    ["what it asks for is not here", { method: "PUT", path, headers: { "x-amz-mfa": "1 2" } }, {}, 501],
    ["its host is foreign", { method: "PUT", path }, { host: "attacker.example" }, 403],
  ])("gets the error at once if %s", async (_, raw, change, status) => {
    await local.putRaw(Key, Buffer.from("content"));
    expect(await expecting(raw, change)).toEqual({ status, continued: false });
  });
});

describe("CompleteMultipartUpload", () => {
  it("returns the location of the object as a URL", async () => {
    await using aws = await startLocalAws({ minPartBytes: 1 });
    const target = { Bucket, Key: "a folder/ü+" };
    const { UploadId } = await aws.s3.send(new CreateMultipartUploadCommand(target));
    const { ETag } = await aws.s3.send(
      new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: "x" }),
    );
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    const done = await aws.s3.send(
      new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload }),
    );
    const url = new URL(done.Location ?? "");
    expect(url.origin).toBe(aws.s3Config.endpoint);
    expect(decodeURIComponent(url.pathname)).toBe(`/${Bucket}/${target.Key}`);
  });

  it("refuses a second checksum of a part that does not match", async () => {
    await using aws = await startLocalAws({ minPartBytes: 1 });
    const target = { Bucket, Key, ChecksumAlgorithm: "CRC32" } as const;
    const { UploadId } = await aws.s3.send(new CreateMultipartUploadCommand(target));
    const part = await aws.s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: "x" }));
    const { ETag, ChecksumCRC32 } = part;
    const complete = (more: object) => {
      const MultipartUpload = { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32, ...more }] };
      return aws.s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
    };
    const ChecksumSHA256 = createHash("sha256").update("y").digest("base64");
    expect(await failure(() => complete({ ChecksumSHA256 }))).toEqual(["InvalidPart", 400]);
    await complete({});
  });
});

it("a bucket that was refused does not exist", async () => {
  const { text } = await sendSigned(local.aws.s3Config, { path: "/" });
  expect(text).not.toContain("refused");
  await local.s3.send(new CreateBucketCommand({ Bucket: "refused-no-more" }));
});
