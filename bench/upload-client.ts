/** A process that uploads one generated stream and sends its peak memory, for bench/upload-memory.ts. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { KMSClient } from "@aws-sdk/client-kms";
import { S3Client } from "@aws-sdk/client-s3";
import { EnvelopeClient, kmsKeyring } from "s3-envelope";
import { peakRssBytes } from "./peak-memory.js";
import type { UploadOrder, UploadResult } from "./upload-memory.js";

const [order] = (await once(process, "message")) as [UploadOrder];
const object = { Bucket: "test-bucket", Key: "generated" };
const keyring = kmsKeyring({ kms: new KMSClient(order.kmsConfig), keyId: order.keyId });
const envelope = new EnvelopeClient({ s3: new S3Client(order.s3Config), keyring });
const hash = createHash("sha256");
const block = randomBytes(64 * 1024);

async function* generate(): AsyncGenerator<Buffer> {
  for (let index = 0; index < order.mebibytes * 16; index++) {
    const bytes = Buffer.from(block);
    bytes.writeUInt32BE(index);
    if (order.verify) hash.update(bytes);
    yield bytes;
  }
}

const startRssMiB = process.memoryUsage().rss / 2 ** 20;
const start = performance.now();
await envelope.put({ ...object, Body: generate() });
const seconds = (performance.now() - start) / 1000;
if (order.verify) {
  const received = createHash("sha256");
  for await (const bytes of (await envelope.get(object)).Body) received.update(bytes);
  if (received.digest("hex") !== hash.digest("hex")) throw new Error("what came back is not what was sent");
}
const result: UploadResult = { peakRssMiB: peakRssBytes() / 2 ** 20, seconds, startRssMiB };
process.send?.(result, () => process.exit());
