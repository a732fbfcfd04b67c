import { createCipheriv, createDecipheriv, createHmac, createSecretKey } from "node:crypto";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { batchOf, processInPlace } from "../../../src/cobblestone/batch.js";
import { openChunk, sealChunk } from "../../../src/cobblestone/chunk.js";
import { deriveMessageKeys, openHeader } from "../../../src/cobblestone/derivation.js";
import { chunkBytes, sealedChunkBytes } from "../../../src/cobblestone/layout.js";
import { Sealer } from "../../../src/cobblestone/stream/codecs.js";
import { aesKeyring, decrypt, encrypt } from "../../../src/index.js";
import { decryptLegacyObject, legacyAesKeyring } from "../../../src/legacy.js";
import { RecordKey } from "../../../src/objects/upload/records.js";
import { wraps } from "../../../src/s3ec/suites.js";
import { collect, testBytes } from "../../support/bytes.js";
import { readMessage, writeMessage } from "../../support/encryption-sdk.js";
import { coded, errorOf } from "../../support/errors.js";
import { allowAll, kek, localShapes, writeLegacy } from "../../support/legacy-objects.js";

/** The outputs of HKDF, for their memory alone. */
const derived = vi.hoisted(() => [] as ArrayBuffer[]);
vi.mock("node:crypto", async (original) => {
  const crypto = await original<typeof import("node:crypto")>();
  const hkdfSync: typeof crypto.hkdfSync = (...input) => {
    const output = crypto.hkdfSync(...input);
    derived.push(output);
    return output;
  };
  return { ...crypto, hkdfSync, default: crypto };
});

/** Of all deciphers and HMACs of the process, those of other packages included. */
const decipherPrototype = Object.getPrototypeOf(
  createDecipheriv("aes-256-gcm", Buffer.alloc(32), Buffer.alloc(12)),
);
const hmacPrototype = Object.getPrototypeOf(createHmac("sha512", ""));

interface Decryption {
  readonly outputs: Buffer[];
  failed: boolean;
}

/** For each decipher, its output before its tag was verified, and whether that failed. */
let decryptions: Map<object, Decryption>;
let digests: Buffer[];
const restore: (() => void)[] = [];

beforeEach(() => {
  decryptions = new Map();
  digests = [];
  derived.length = 0;
  const { update, final } = decipherPrototype;
  const of = (decipher: object) => {
    const known = decryptions.get(decipher) ?? { outputs: [], failed: false };
    decryptions.set(decipher, known);
    return known;
  };
  decipherPrototype.update = function (this: object, ...input: unknown[]) {
    const output: unknown = Reflect.apply(update, this, input);
    if (Buffer.isBuffer(output)) of(this).outputs.push(output);
    return output;
  };
  decipherPrototype.final = function (this: object, ...input: unknown[]) {
    try {
      return Reflect.apply(final, this, input);
    } catch (error) {
      of(this).failed = true;
      throw error;
    }
  };
  const { digest } = hmacPrototype;
  hmacPrototype.digest = function (this: object, ...input: unknown[]) {
    const output: unknown = Reflect.apply(digest, this, input);
    if (Buffer.isBuffer(output)) digests.push(output);
    return output;
  };
  restore.push(() => {
    Object.assign(decipherPrototype, { update, final });
    Object.assign(hmacPrototype, { digest });
  });
});
afterEach(() => {
  for (const undo of restore.splice(0)) undo();
});

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** The tags that did not verify, each with whether the plaintext was overwritten. */
function failures(): { bytes: number; isGone: boolean }[] {
  return [...decryptions.values()]
    .filter(({ failed }) => failed)
    .map(({ outputs }) => ({
      bytes: outputs.reduce((sum, { length }) => sum + length, 0),
      isGone: outputs.every(isZero),
    }));
}

const dataKey = createSecretKey(testBytes(32, 1));
const salt = testBytes(24, 2);
const keys = deriveMessageKeys(dataKey, salt, Buffer.alloc(0));
const plain = testBytes(chunkBytes, 3);
const flipped = (bytes: Uint8Array, at = bytes.length - 1) => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};
const sealed = () => {
  const { ciphertext, tag } = sealChunk(keys, 0, plain);
  return Buffer.concat([ciphertext, tag]);
};
const encryptionContext = { "s3-envelope": "v1 Cobblestone-256" };

describe("plaintext whose tag does not verify is overwritten with zeros", () => {
  const ways: [name: string, bytes: number, act: () => unknown][] = [
    ["of a chunk", chunkBytes, () => openChunk(keys, 0, flipped(sealed()))],
    ["of a chunk in another place", chunkBytes, () => openChunk(keys, 1, sealed())],
    [
      "of a stream",
      chunkBytes,
      async () => {
        const message = await collect(encrypt(testBytes(3 * chunkBytes), { dataKey }));
        const damaged = flipped(message, 56 + sealedChunkBytes + 5);
        await collect(decrypt(damaged, { dataKey }));
      },
    ],
    [
      "of a data key under the AES keyring",
      32,
      async () => {
        const keyring = aesKeyring({ keyId: "k", wrappingKey: testBytes(32, 5) });
        const { recipients } = await keyring.generateDataKey({ encryptionContext });
        const damaged = recipients.map((recipient) => ({
          ...recipient,
          ciphertext: flipped(recipient.ciphertext),
        }));
        await keyring.unwrapDataKey({ recipients: damaged, encryptionContext });
      },
    ],
    [
      "of a data key under the AES keyring of Amazon's formats",
      32,
      async () => {
        const keyring = legacyAesKeyring({ wrappingKey: testBytes(32, 5) });
        const contentName = "AES/GCM/NoPadding";
        const { wrappedKey } = await keyring.generateDataKey({ contentName, encryptionContext: {} });
        const damaged = { wrap: wraps.aesGcm, wrappedKey: flipped(wrappedKey), contentName, description: {} };
        await keyring.unwrapDataKey(damaged);
      },
    ],
    ["of an object of Amazon's clients, held in memory", 100_000, () => readLegacy({})],
    [
      "of an object of Amazon's clients, held in a file",
      100_000,
      () =>
        readLegacy({
          maxBufferedObjectBytes: 10_000,
          largeObjects: "temporary-file",
          temporaryDirectory: tmpdir(),
        }),
    ],
    [
      "of a message of the AWS Encryption SDK",
      1_000,
      async () => {
        const { error } = await readMessage(flipped(await writeMessage(testBytes(1_000))));
        if (error !== undefined) throw error;
      },
    ],
  ];
  it.each(ways)("%s", async (_name, bytes, act) => {
    expect(await errorOf(act)).toEqual(coded("DECRYPTION_FAILED"));
    expect(failures()).toEqual([{ bytes, isGone: true }]);
  });

  it("of a batch, with its whole buffer", async () => {
    const buffer = Buffer.concat([sealed(), flipped(sealed())]);
    const error = await errorOf(() => processInPlace(batchOf("open", keys, 0, 2), buffer));
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(failures()).toEqual([{ bytes: chunkBytes, isGone: true }]);
    expect(isZero(buffer)).toBe(true);
  });

  it("but plaintext that verifies is unchanged", () => {
    expect(openChunk(keys, 0, sealed())).toEqual(plain);
    expect(failures()).toEqual([]);
  });

  async function readLegacy(options: object): Promise<void> {
    const { body, metadata } = await writeLegacy(testBytes(100_000, 4), localShapes["115"]);
    const { Body } = await decryptLegacyObject({ Body: flipped(body), Metadata: metadata }, {
      ...allowAll,
      keyring: legacyAesKeyring({ wrappingKey: kek }),
      ...options,
    } as never);
    await collect(Body);
  }
});

it("plaintext that a Sealer has held back is overwritten with zeros after it was sealed", () => {
  const cipherPrototype = Object.getPrototypeOf(
    createCipheriv("aes-256-gcm", Buffer.alloc(32), Buffer.alloc(12)),
  );
  const update = vi.spyOn(cipherPrototype, "update");
  restore.push(() => update.mockRestore());
  const sealer = new Sealer(keys);
  sealer.update(testBytes(chunkBytes + 1_000));
  sealer.final();
  const last = update.mock.calls.at(-1)?.[0] as Uint8Array;
  expect(last).toHaveLength(1_000);
  expect(isZero(last)).toBe(true);
});

describe("memory that keys are derived from is overwritten with zeros", () => {
  it("when the keys of a message are derived", () => {
    const made = deriveMessageKeys(dataKey, salt, Buffer.alloc(0));
    expect(digests.map(({ length }) => length)).toEqual([64, 64]);
    expect(digests.every(isZero)).toBe(true);
    // The returned keys do not lie in that memory.
    expect(made.header).toEqual(keys.header);
    expect(isZero(made.baseNonce)).toBe(false);
    expect(made.key.equals(keys.key)).toBe(true);
  });

  it("even if the commitment belongs to another key", async () => {
    const error = await errorOf(() => openHeader(dataKey, flipped(keys.header), Buffer.alloc(0)));
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(digests).toHaveLength(2);
    expect(digests.every(isZero)).toBe(true);
  });

  it("when the key for the records of an upload is derived", () => {
    const made = new RecordKey(dataKey);
    expect(digests.map(({ length }) => length)).toEqual([64]);
    expect(digests.every(isZero)).toBe(true);
    expect(made.macOf("ticket", "", {})).not.toBe(new RecordKey(keys.key).macOf("ticket", "", {}));
  });

  it("when a data key is wrapped and unwrapped by the AES keyring", async () => {
    const keyring = aesKeyring({ keyId: "k", wrappingKey: testBytes(32, 5) });
    const { recipients, plaintext } = await keyring.generateDataKey({ encryptionContext });
    expect(await keyring.unwrapDataKey({ recipients, encryptionContext })).toEqual(plaintext);
    expect(derived.map(({ byteLength }) => byteLength)).toEqual([44, 44]);
    expect(derived.every((memory) => isZero(new Uint8Array(memory)))).toBe(true);
  });
});
