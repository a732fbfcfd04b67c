/** The peers in Go and Python: with each other at every size, and with those in Java over the whole matrix. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import { contextOf, newKeys, readerConfig, readings, writerConfig, writings } from "./matrix.js";
import { type ClientConfig, ProtocolClient } from "./protocol.js";

const { bucket, kmsKeyId } = inject("world");
const clients = new Map<string, ProtocolClient>();
for (const { name, port } of inject("peers")) {
  if (port !== undefined) clients.set(name, new ProtocolClient(port));
}
afterAll(() => {
  for (const client of clients.values()) client.close();
});

function clientOf(name: string): ProtocolClient {
  const client = clients.get(name);
  if (!client) throw new Error(`${name} is not there`);
  return client;
}

/** Tests of peers that could not be had are skipped, not left out. */
const testWith = (...names: string[]) => test.runIf(names.every((name) => clients.has(name)));
const withoutCommitment: Partial<ClientConfig> = {
  commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT",
  encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
};
const writers = [
  { name: "Python, V3", peer: "python-v4", settings: {} },
  { name: "Python, V3 in parts", peer: "python-v4", settings: { peer: { put: "multipart" } } },
  { name: "Python, V2", peer: "python-v4", settings: withoutCommitment },
  { name: "Go, V2", peer: "go-v3", settings: {} },
];
const readers = [
  { name: "Python", peer: "python-v4", settings: withoutCommitment },
  {
    name: "Python as a stream",
    peer: "python-v4",
    settings: { ...withoutCommitment, enableDelayedAuthenticationMode: true },
  },
  { name: "Go", peer: "go-v3", settings: {} },
];
const mib = 1024 * 1024;
const sizes = [0, 1, 15, 16, 17, 300, mib, 40 * mib];
const context = { tenant: "42", purpose: "a b" };

describe.each(writers)("$name", (writer) => {
  // In parts, the client for Python has no way to end an empty upload.
  const first = writer.name.endsWith("parts") ? 1 : 0;
  describe.each(readers)("$name", (reader) => {
    testWith(writer.peer, reader.peer).each(sizes.slice(first))("%i bytes", async (size) => {
      const body = testBytes(size, size % 251);
      const key = `${writer.name} ${reader.name} ${size}`;
      const from = clientOf(writer.peer);
      const id = await from.createClient({ keyMaterial: { kmsKeyId }, ...writer.settings });
      await from.put(id, bucket, key, body, context);
      const to = clientOf(reader.peer);
      const readerId = await to.createClient({ keyMaterial: { kmsKeyId }, ...reader.settings });
      const got = await to.get(readerId, bucket, key, { context });
      expect(body.equals(got), `${got.length} bytes`).toBe(true);
    });
  });
});

const keys = newKeys(kmsKeyId);
const isNew = (name: string) => /^(python|go)-/.test(name);
const inKms = writings.filter(({ key }) => key === "kms");

describe.each(inKms)("$name", (writing) => {
  const body = testBytes(17, 17);
  const key = `gopy ${writing.name}`;
  beforeAll(async () => {
    if (!clients.has(writing.writer)) return;
    const from = clientOf(writing.writer);
    const id = await from.createClient(writerConfig(writing, keys));
    await from.put(id, bucket, key, body, contextOf(writing));
  });

  for (const reading of readings.filter(({ reader }) => isNew(reader) || isNew(writing.writer))) {
    testWith(writing.writer, reading.reader)(reading.name, async () => {
      const to = clientOf(reading.reader);
      const id = await to.createClient(readerConfig(reading, writing, keys));
      const got = to.get(id, bucket, key, { context: contextOf(writing, reading) });
      if (reading.reads(writing)) expect(await got).toEqual(body);
      else if (reading.passesOn?.(writing)) expect((await got).length).toBe(body.length + 16);
      else await expect(got).rejects.toMatchObject({ kind: "S3EncryptionClientError" });
    });
  }
});

describe("instruction files with a context in ASCII", () => {
  const files = inKms.filter(({ storage }) => storage === "instruction");
  for (const writing of files.filter(({ wrap }) => wrap !== "kms")) {
    for (const reading of readings.filter(
      ({ name }) => name === "python-v4-legacy" || name === "go-v3-legacy",
    )) {
      testWith(writing.writer, reading.reader)(`${writing.name} to ${reading.name}`, async () => {
        const body = testBytes(17, 17);
        const key = `ascii ${writing.name}`;
        const from = clientOf(writing.writer);
        await from.put(await from.createClient(writerConfig(writing, keys)), bucket, key, body, context);
        const to = clientOf(reading.reader);
        const id = await to.createClient(readerConfig(reading, writing, keys));
        expect(await to.get(id, bucket, key, { context })).toEqual(body);
      });
    }
  }
});
