/** A process that reads one object of Amazon's clients and sends its peak memory, for bench/legacy-memory.ts. */
import { once } from "node:events";
import { aesKeyring, createS3Client, EnvelopeClient } from "s3-envelope";
import { legacyAesKeyring, legacyReading } from "s3-envelope/legacy";
import type { LegacyOrder, LegacyResult } from "./legacy-memory.js";
import { peakRssBytes } from "./peak-memory.js";
import { bucket } from "./s3-clients.js";

const [order] = (await once(process, "message")) as [LegacyOrder];
const wrappingKey = Buffer.from(order.wrappingKey, "hex");
const envelope = new EnvelopeClient({
  s3: createS3Client(order.s3Config),
  keyring: aesKeyring({ keyId: "bench", wrappingKey }),
  legacy: legacyReading({
    keyring: legacyAesKeyring({ wrappingKey }),
    commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
    enableLegacyUnauthenticatedModes: true,
    enableLegacyWrappingAlgorithms: true,
    releaseUnverifiedPlaintext: true,
  }),
});
const start = performance.now();
const { Body } = await envelope.get({ Bucket: bucket, Key: order.content });
let bytes = 0;
for await (const piece of Body) bytes += (piece as Buffer).length;
const seconds = (performance.now() - start) / 1000;
if (bytes !== order.bytes) throw new Error("what came back has another size");
const result: LegacyResult = { peakRssMiB: peakRssBytes() / 2 ** 20, seconds };
process.send?.(result, () => process.exit());
