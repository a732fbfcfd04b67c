/** The peers in Go and Python beyond the matrix: with each other at every size, and contexts that Python reads. */
import { describe, expect } from "vitest";
import { testBytes } from "../support/bytes.js";
import { writings } from "./matrix.js";
import type { ClientConfig } from "./protocol.js";
import { readingNamed, sizes, usePeers } from "./use-peers.js";

const { kmsKeyId, clientIn, testWith, write, read } = usePeers();
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
const context = { tenant: "42", purpose: "a b" };

describe.each(writers)("$name", (writer) => {
  // In parts, the client for Python has no way to end an empty upload.
  const first = writer.name.endsWith("parts") ? 1 : 0;
  describe.each(readers)("$name", (reader) => {
    testWith(writer.peer, reader.peer).each([...sizes, 300].slice(first))("%i bytes", async (size) => {
      const body = testBytes(size, size % 251);
      const object = `gopy ${writer.name} ${reader.name} ${size}`;
      const from = await clientIn(writer.peer, { keyMaterial: { kmsKeyId }, ...writer.settings });
      await from.put(object, body, context);
      const to = await clientIn(reader.peer, { keyMaterial: { kmsKeyId }, ...reader.settings });
      const got = await to.get(object, { context });
      expect(body.equals(got), `${got.length} bytes`).toBe(true);
    });
  });
});

describe("instruction files with a context in ASCII", () => {
  const files = writings.filter(({ key, storage }) => key === "kms" && storage === "instruction");
  for (const writing of files.filter(({ wrap }) => wrap !== "kms")) {
    for (const reading of ["python-v4-legacy", "go-v3-legacy"].map(readingNamed)) {
      testWith(writing.writer, reading.reader)(`${writing.name} to ${reading.name}`, async () => {
        const body = testBytes(17, 17);
        const object = `gopy ascii ${writing.name}`;
        await write(writing, object, body, context);
        expect(await read(reading, writing, object, { context })).toEqual(body);
      });
    }
  }
});
