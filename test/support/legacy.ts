/** Helpers for tests of the S3 Encryption Client formats. */
import { createSecretKey } from "node:crypto";
import type { ContentKeys } from "../../src/s3ec/content/content-keys.js";
import type { LegacyEnvelope } from "../../src/s3ec/envelope.js";
import { type ContentSuite, cbcSuite, committingSuite, gcmSuite } from "../../src/s3ec/suites.js";
import { testBytes } from "./bytes.js";

/** Content keys for tests. */
export function contentKeys(
  suite: ContentSuite,
  key: Uint8Array,
  iv: Uint8Array,
  aad?: Uint8Array,
): ContentKeys {
  return { suite, key: createSecretKey(key), iv: Buffer.from(iv), aad: aad && Buffer.from(aad) };
}

/** An envelope with the given fields. */
export function legacyEnvelope(given: Partial<LegacyEnvelope>): LegacyEnvelope {
  const suite = given.suite ?? gcmSuite;
  return {
    format: suite === committingSuite ? "V3" : suite === cbcSuite ? "V1" : "V2",
    suite,
    wrap: undefined,
    wrappedKey: Buffer.alloc(0),
    iv: testBytes(suite.ivBytes, 4),
    commitment: undefined,
    description: {},
    contentName: suite.contentNames[0],
    storage: "metadata",
    ...given,
  };
}
