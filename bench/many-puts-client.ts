/** A process that puts many objects at once and sends its peak memory, for bench/many-puts.ts. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { aesKeyring, createS3Client, EnvelopeClient } from "s3-envelope";
import type { PutsOrder, PutsResult } from "./many-puts.js";
import { peakRssBytes } from "./peak-memory.js";

const [order] = (await once(process, "message")) as [PutsOrder];
const Bucket = "test-bucket";
const keyring = aesKeyring({ keyId: "bench", wrappingKey: randomBytes(32) });
const envelope = new EnvelopeClient({ s3: createS3Client(order.s3Config), keyring });
const block = randomBytes(64 * 1024);

async function* generate(): AsyncGenerator<Buffer> {
  for (let index = 0; index < order.mebibytes * 16; index++) {
    await new Promise(setImmediate);
    yield Buffer.from(block);
  }
}

async function bodyOf() {
  return order.from === "get" ? (await envelope.get({ Bucket, Key: "source" })).Body : generate();
}

if (order.from === "get") await envelope.put({ Bucket, Key: "source", Body: generate() });
const ContentLength = order.stated ? order.mebibytes * 2 ** 20 : undefined;
const startRssMiB = process.memoryUsage().rss / 2 ** 20;
const start = performance.now();
const puts = Array.from({ length: order.count }, async (_, index) =>
  envelope.put({ Bucket, Key: `copy-${index}`, Body: await bodyOf(), ContentLength }),
);
await Promise.all(puts);
const seconds = (performance.now() - start) / 1000;
const result: PutsResult = { peakRssMiB: peakRssBytes() / 2 ** 20, startRssMiB, seconds };
process.send?.(result, () => process.exit());
