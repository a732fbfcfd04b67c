/** The peers in Go and Python between themselves: every format that both know, at every size. */
import { afterAll, describe, expect, inject, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import { type ClientConfig, ProtocolClient } from "./protocol.js";

const { bucket, kmsKeyId } = inject("world");
const ports = new Map(
  inject("peers").flatMap(({ name, port }) => (port === undefined ? [] : [[name, port]])),
);
const clients = new Map<string, ProtocolClient>();

afterAll(() => {
  for (const client of clients.values()) client.close();
});

/** The peer's client, which is there: see the condition of each suite. */
function clientOf(name: string): ProtocolClient {
  const port = ports.get(name);
  if (port === undefined) throw new Error(`${name} is not there`);
  const client = clients.get(name) ?? new ProtocolClient(port);
  clients.set(name, client);
  return client;
}

const isThere = ({ peer }: { peer: string }) => ports.has(peer);
const withoutCommitment: Partial<ClientConfig> = {
  commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT",
  encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
};
const writers = [
  { name: "Python, V3", peer: "python-v4", settings: {} },
  { name: "Python, V3 in parts", peer: "python-v4", settings: { peer: { put: "multipart" } } },
  { name: "Python, V2", peer: "python-v4", settings: withoutCommitment },
  { name: "Go, V2", peer: "go-v3", settings: {} },
].filter(isThere);
const readers = [
  { name: "Python", peer: "python-v4", settings: withoutCommitment },
  {
    name: "Python as a stream",
    peer: "python-v4",
    settings: { ...withoutCommitment, enableDelayedAuthenticationMode: true },
  },
  { name: "Go", peer: "go-v3", settings: {} },
].filter(isThere);
const mib = 1024 * 1024;
const sizes = [0, 1, 15, 16, 17, 300, mib, 40 * mib];
const context = { tenant: "42", purpose: "a b" };

describe.each(writers)("$name", (writer) => {
  test.each(sizes)("%i bytes are read by every other", async (size) => {
    const body = testBytes(size, size % 251);
    const key = `${writer.name} ${size}`;
    const from = clientOf(writer.peer);
    const id = await from.createClient({ keyMaterial: { kmsKeyId }, ...writer.settings });
    await from.put(id, bucket, key, body, context);
    for (const { name, peer, settings } of readers) {
      const to = clientOf(peer);
      const reader = await to.createClient({ keyMaterial: { kmsKeyId }, ...settings });
      const got = await to.get(reader, bucket, key, { context });
      expect(body.equals(got), `${name}: ${got.length}`).toBe(true);
    }
  });
});
