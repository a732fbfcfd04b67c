/** A process that uploads or downloads one file and sends its peak memory, for bench/large-memory.ts. */
import { once } from "node:events";
import { open, truncate } from "node:fs/promises";
import { KMSClient } from "@aws-sdk/client-kms";
import { createS3Client, EnvelopeClient, kmsKeyring } from "s3-envelope";
import { drain } from "./bytes.js";
import type { LargeOrder, LargeResult } from "./large-memory.js";
import { peakRssBytes } from "./peak-memory.js";

const [order] = (await once(process, "message")) as [LargeOrder];
const { operation, path, mebibytes, s3Config, kmsConfig, keyId } = order;
const object = { Bucket: "test-bucket", Key: "large", filePath: path };
const envelope = new EnvelopeClient({
  s3: createS3Client(s3Config),
  keyring: kmsKeyring({ kms: new KMSClient(kmsConfig), keyId }),
});
const bytes = mebibytes * 2 ** 20;
if (operation === "upload") {
  await (await open(path, "w")).close();
  await truncate(path, bytes);
}
const start = performance.now();
await envelope[operation](object);
const seconds = (performance.now() - start) / 1000;
const peakRssMiB = peakRssBytes() / 2 ** 20;
const file = await open(path);
if ((await file.stat()).size !== bytes) throw new Error("the file has another size");
if (mebibytes <= 256) await drain(zerosOf(file.createReadStream()));
await file.close();
const result: LargeResult = { peakRssMiB, seconds };
process.send?.(result, () => process.exit());

/** Small files are read again: a hole is all zeros. */
async function* zerosOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of source) {
    if (!piece.equals(Buffer.alloc(piece.length))) throw new Error("what came back is not what was sent");
    yield piece;
  }
}
