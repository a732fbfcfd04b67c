import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { errorOf } from "../support/errors.js";
import { tls } from "../support/tls.js";

const Bucket = "test-bucket";
let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws({ tls });
});
afterAll(() => aws.close());

describe("in-process servers with TLS", () => {
  it("serve their own clients of S3 and KMS", async () => {
    expect([aws.s3Config.endpoint, aws.kmsConfig.endpoint]).toEqual([
      expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
    ]);
    const { KeyCount } = await aws.s3.send(new ListObjectsV2Command({ Bucket }));
    expect(KeyCount).toBe(0);
    expect((await aws.kms.send(new CreateKeyCommand({}))).KeyMetadata?.KeyId).toBeDefined();
  });

  it("are not trusted by clients that lack the certificate", async () => {
    const s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
    const kms = new KMSClient({ ...aws.kmsConfig, maxAttempts: 1 });
    const untrusted = { code: "DEPTH_ZERO_SELF_SIGNED_CERT" };
    expect(await errorOf(() => s3.send(new ListObjectsV2Command({ Bucket })))).toMatchObject(untrusted);
    expect(await errorOf(() => kms.send(new CreateKeyCommand({})))).toMatchObject(untrusted);
    s3.destroy();
    kms.destroy();
  });

  it("apply faults", async () => {
    aws.fault({ operation: "ListObjectsV2", status: 503, code: "SlowDown" });
    await aws.s3.send(new ListObjectsV2Command({ Bucket }));
    const statuses = aws.requests
      .filter(({ operation }) => operation === "ListObjectsV2")
      .map(({ status }) => status);
    expect(statuses.slice(-2)).toEqual([503, 200]);
  });
});

describe("the option tls", () => {
  const badPair = "options.tls: expected a key and its certificate in PEM, got something else";
  it.each([
    ["a string", "pem", "options.tls: expected an object, got a string"],
    ["no key", { cert: tls.cert }, "options.tls.key: expected a string, got undefined"],
    ["no certificate", { key: tls.key }, "options.tls.cert: expected a string, got undefined"],
    ["a key that is none", { ...tls, key: "secret" }, badPair],
    ["a certificate that is none", { ...tls, cert: "x" }, badPair],
  ])("must be a pair in PEM: %s", async (_, value, message) => {
    expect((await errorOf(() => startLocalAws({ tls: value as never }))).message).toBe(message);
  });
});
