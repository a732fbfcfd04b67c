/** More bodies are piped into puts of the same client than it has sockets. `npm run prove -- pipes` does so at full size. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createS3Client, EnvelopeClient } from "../../src/index.js";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { testBytes } from "../support/bytes.js";
import { keyring } from "../support/local.js";

const Bucket = "test-bucket";
const pipes = 60;
const sockets = 50;
const bytes = Number(process.env.PROOF_PIPE_BYTES ?? 2_000_000);

async function hashOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of body) hash.update(piece);
  return hash.digest("hex");
}

describe(`${pipes} bodies of ${bytes} bytes piped into ${pipes} puts over ${sockets} sockets`, () => {
  const folder = mkdtempSync(join(tmpdir(), "s3-envelope-pipes-"));
  let aws: LocalAws;
  beforeAll(async () => {
    aws = await startLocalAws({ directory: join(folder, "s3") });
  });
  afterAll(async () => {
    await aws.close();
    rmSync(folder, { recursive: true });
  });

  const kinds: [string, (config: S3ClientConfig) => S3Client][] = [
    ["the SDK's default client", (config) => new S3Client(config)],
    ["createS3Client", createS3Client],
  ];
  it.each(kinds)("arrive whole with %s", async (_, make) => {
    const s3 = make({ ...aws.s3Config, requestHandler: { httpAgent: { maxSockets: sockets } } });
    const client = new EnvelopeClient({ s3, keyring });
    const plaintext = testBytes(bytes, 1);
    await client.put({ Bucket, Key: "source", Body: plaintext });
    const keys = Array.from({ length: pipes }, (_unused, index) => `copy-${index}`);
    await Promise.all(
      keys.map(async (Key) => {
        const { Body } = await client.get({ Bucket, Key: "source" });
        await client.put({ Bucket, Key, Body });
      }),
    );
    const expected = createHash("sha256").update(plaintext).digest("hex");
    for (const Key of keys) {
      const { Body } = await client.get({ Bucket, Key });
      expect(await hashOf(Body)).toBe(expected);
      await client.delete({ Bucket, Key });
    }
    s3.destroy();
  });
});
