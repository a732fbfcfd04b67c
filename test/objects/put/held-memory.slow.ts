/** The memory that many puts hold; in a file of its own, as memory of other tests would count. */
import { expect, it } from "vitest";
import { CryptoEngine } from "../../../src/index.js";
import { configArgument } from "../../../src/objects/encrypted/config.js";
import { put } from "../../../src/objects/put/put.js";
import { heldBytes } from "../../support/gc.js";
import { Bucket, keyring } from "../../support/local.js";
import { generated, stubS3 } from "../../support/stub-s3.js";

const mebibyte = 1024 * 1024;

it("many puts hold no more memory than the budget allows, also while they wait between parts", async () => {
  const s3 = stubS3();
  const settings = configArgument({
    s3: s3.client,
    keyring,
    engine: new CryptoEngine({ maxWorkers: 0 }),
    maxBufferedBytes: 32 * mebibyte,
    partSizeBytes: 8 * mebibyte,
  });
  const before = heldBytes();
  let most = 0;
  s3.onRequest = () => {
    most = Math.max(most, heldBytes() - before);
  };
  await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      put(settings, { Bucket, Key: `${index}`, Body: generated(20 * mebibyte) }, {}),
    ),
  );
  // Each that has begun also holds about a mebibyte: the ciphertext of its last piece, and memory of the SDK.
  expect(most).toBeGreaterThan(24 * mebibyte);
  expect(most).toBeLessThan((32 + 2 * 16) * mebibyte);
});
