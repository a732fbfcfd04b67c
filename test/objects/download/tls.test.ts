import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createS3Client, EnvelopeClient } from "../../../src/index.js";
import { download } from "../../../src/objects/download/download.js";
import { configArgument } from "../../../src/objects/encrypted/config.js";
import { type LocalAws, startLocalAws } from "../../../src/testing/index.js";
import { collect, expectBytes, testBytes } from "../../support/bytes.js";
import { Bucket, keyring } from "../../support/local.js";
import { tls } from "../../support/tls.js";

const folder = mkdtempSync(join(tmpdir(), "s3-envelope-tls-"));
const filePath = join(folder, "file");
const object = { Bucket, Key: "k" };
const plaintext = testBytes(9 * 1024 * 1024);
let aws: LocalAws;
let s3: S3Client;

beforeAll(async () => {
  aws = await startLocalAws({ tls });
  s3 = createS3Client({ ...aws.s3Config, requestHandler: { httpsAgent: { ca: tls.cert } } });
  await new EnvelopeClient({ s3, keyring }).put({ ...object, Body: plaintext });
});
afterAll(async () => {
  s3.destroy();
  await aws.close();
  rmSync(folder, { recursive: true });
});

it("a download over TLS arrives whole in small pieces, and reuses its connections", async () => {
  await download(configArgument({ s3, keyring }), { ...object, filePath }, {}, 16);
  expectBytes(readFileSync(filePath), plaintext);
  expect(await aws.s3Connections()).toBeLessThanOrEqual(5);
  aws.fault({ operation: "GetObject", skip: 3, truncateBodyBytes: 50_000 });
  await download(configArgument({ s3, keyring }), { ...object, filePath }, {}, 16);
  expectBytes(readFileSync(filePath), plaintext);
  expect(readdirSync(folder)).toEqual(["file"]);
});

it("a parallel get over TLS returns the bytes in order", async () => {
  const { Body } = await new EnvelopeClient({ s3, keyring }).get({ ...object, parallel: true });
  expectBytes(await collect(Body), plaintext);
});

it("a download over TLS passes the checksum validation of the SDK, if it is switched on", async () => {
  const client = new EnvelopeClient({ s3, keyring });
  await client.put({
    ...object,
    Key: "checked",
    Body: plaintext.subarray(0, 50_000),
    ChecksumAlgorithm: "SHA256",
  });
  await client.download({ ...object, Key: "checked", filePath, ChecksumMode: "ENABLED" });
  expectBytes(readFileSync(filePath), plaintext.subarray(0, 50_000));
});
