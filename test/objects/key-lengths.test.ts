/** Every call that derives another key from the key of an object, for lengths around which the derived key is too long. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EnvelopeClient, EnvelopeError } from "../../src/index.js";
import { legacyAesKeyring, legacyReading, migrateObject } from "../../src/legacy.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { writerWith } from "../support/legacy-writer.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { s3ecKeys } from "../support/s3ec.js";
import { isSlowTier } from "../support/tier.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-keys-"));
const filePath = join(folder, "file");
const encryptionContext = { tenant: "42" };
/** The bytes that S3 allows, and those that a sidecar and an instruction file add. */
const [most, sidecarBytes, instructionBytes] = [1024, 58, 12];

/** A key of this many bytes of UTF-8, most of them in characters like this one. */
function keyOf(bytes: number, character: string): string {
  const size = Buffer.byteLength(character);
  return "k".repeat(bytes % size) + character.repeat(Math.floor(bytes / size));
}
const lengths = [960, 965, 966, 967, 968, 1011, 1012, 1013, 1014, 1023, 1024];
const keys = lengths.flatMap((length) =>
  ["k", "é", "\u{1f511}"].map((character) => [length, character, keyOf(length, character)] as const),
);

let sidecarMetadata: Record<string, string> = {};
const legacy = legacyReading({ keyring: legacyAesKeyring({ wrappingKey: s3ecKeys.aes }) });
const reader = () => local.clientWith({ legacy });
const sidecarClient = () => local.clientWith({ envelopeStorage: "sidecar" });

beforeAll(async () => {
  await sidecarClient().put({ Bucket, Key: "short", Body: "x", encryptionContext });
  sidecarMetadata = (await local.getRaw("short")).metadata;
  await sidecarClient().delete({ Bucket, Key: "short" });
});
afterEach(async () => {
  expect((await local.removeAll()).uploads).toEqual([]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Each length with one of the characters; the slow tier has all of them. */
const someKeys = keys.filter((_, index) => isSlowTier || index % 3 === Math.floor(index / 3) % 3);

describe.each(someKeys)("a key of %i bytes in characters like %s", (length, _, Key) => {
  it("has that length", () => expect(Buffer.byteLength(Key)).toBe(length));

  const reads: Record<string, (client: EnvelopeClient) => Promise<unknown>> = {
    get: (client) => client.get({ Bucket, Key, encryptionContext }),
    "get of a range": (client) => client.get({ Bucket, Key, encryptionContext, Range: "bytes=0-1" }),
    head: (client) => client.head({ Bucket, Key }),
    open: (client) => client.open({ Bucket, Key, encryptionContext }),
    download: (client) => client.download({ Bucket, Key, encryptionContext, filePath }),
    migrateObject: (client) => migrateObject(client, { Bucket, Key, target: { Key: "elsewhere" } }),
  };
  it("reads of an object whose sidecar is missing reject with a code", async () => {
    await local.putRaw(Key, testBytes(73), sidecarMetadata);
    for (const [name, read] of Object.entries(reads)) {
      const act = () => read(name === "migrateObject" ? reader() : local.client);
      const outcome: unknown = await act().catch((error: unknown) => error);
      // migrateObject finds nothing to do, and reads no envelope.
      if (name === "migrateObject") expect(outcome).toMatchObject({ migrated: false });
      else expect(outcome, name).toEqual(coded("ENVELOPE_MISSING"));
    }
    expect(existsSync(filePath)).toBe(false);
  });

  it("every client deletes an object that refers to a sidecar", async () => {
    for (const client of [local.client, sidecarClient()]) {
      await local.putRaw(Key, testBytes(73), sidecarMetadata);
      await client.delete({ Bucket, Key });
      expect((await local.contents()).keys).toEqual([]);
    }
  });

  it("writers of sidecars refuse a key without room for the name of the sidecar before any request, and only then", async () => {
    const source = { length: 5, read: async () => testBytes(5) };
    const object = { Bucket, Key, envelopeStorage: "sidecar" } as const;
    const writes = [
      () => local.client.put({ ...object, Body: "x" }),
      () => local.client.upload({ ...object, source }),
      async () => {
        const ticket = await local.client.beginUpload({ ...object, plaintextLength: 5 });
        await local.client.abortUpload({ ticket });
      },
      () => migrateObject(reader(), { Bucket, Key: "short", target: object }),
    ];
    for (const write of writes) {
      local.operations();
      const outcome: unknown = await write().catch((error: unknown) => error);
      const isRoom = length + sidecarBytes <= most;
      if (!isRoom) expect(outcome).toBeInstanceOf(RangeError);
      else expect(outcome instanceof RangeError).toBe(false);
      expect(local.operations().length > 0).toBe(isRoom);
    }
  });

  it("a legacy object is deleted with or without room for the name of an instruction file", async () => {
    const writer = writerWith(local);
    await writer.put({ Bucket, Key, Body: "x" });
    local.operations();
    expect(await writer.delete({ Bucket, Key })).not.toHaveProperty("orphanedInstructionFileKey");
    const isRoom = length + instructionBytes <= most;
    expect(local.operations()).toEqual(isRoom ? ["DeleteObject", "DeleteObject"] : ["DeleteObject"]);
    expect((await local.contents()).keys).toEqual([]);
  });

  it("writers of instruction files refuse a key without room for the name of the file before any request, and only then", async () => {
    const writer = writerWith(local, { instructionFile: true });
    const newKeyring = legacyAesKeyring({ wrappingKey: s3ecKeys.aes, materialsDescription: { new: "1" } });
    const isRoom = length + instructionBytes <= most;
    for (const write of [
      () => writer.put({ Bucket, Key, Body: "x" }),
      () => writer.reEncryptInstructionFile({ Bucket, Key, newKeyring }),
    ]) {
      local.operations();
      const outcome: unknown = await write().catch((error: unknown) => error);
      if (isRoom) expect(outcome).not.toBeInstanceOf(Error);
      else expect(outcome).toBeInstanceOf(RangeError);
      expect(local.operations().length > 0).toBe(isRoom);
    }
  });

  it("legacy reading of an object without an envelope requests an instruction file only if its key can exist", async () => {
    await local.putRaw(Key, testBytes(20));
    for (const read of [() => reader().get({ Bucket, Key }), () => reader().open({ Bucket, Key })]) {
      const error = await errorOf(read);
      expect(error).toBeInstanceOf(EnvelopeError);
    }
    expect(await reader().head({ Bucket, Key })).toMatchObject({ encrypted: false });
  });

  it("a legacy object is migrated in place, for any length of the staging key", async () => {
    await writerWith(local).put({ Bucket, Key, Body: "moved" });
    expect(await migrateObject(reader(), { Bucket, Key })).toMatchObject({ migrated: true, Key });
    expect(await (await local.client.get({ Bucket, Key })).Body.transformToString()).toBe("moved");
    expect((await local.contents()).keys).toEqual([Key]);
  });
});
