/** The memory that many puts hold; in a file of its own, since what other tests have left would count. */
import { expect, it } from "vitest";
import { CryptoEngine } from "../../../src/index.js";
import { configArgument } from "../../../src/objects/encrypted/config.js";
import { put } from "../../../src/objects/put/put.js";
import { heldBytes } from "../../support/gc.js";
import { Bucket, keyring } from "../../support/local.js";
import { generated, stubS3 } from "../../support/stub-s3.js";

const mebibyte = 1024 * 1024;

it("is what the budget allows, also when they have let go of parts and wait for others", async () => {
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
  // Each that has begun has about a mebibyte in hand, too: what was sealed of its last piece, and of the SDK.
  expect(most).toBeGreaterThan(24 * mebibyte);
  expect(most).toBeLessThan((32 + 2 * 16) * mebibyte);
});
