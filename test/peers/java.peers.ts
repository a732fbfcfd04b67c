/** The Java peers among themselves: the harness stands, and the matrix of who reads what is true. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import { contextOf, newKeys, readerConfig, readings, writerConfig, writings } from "./matrix.js";
import { type PeerError, ProtocolClient } from "./protocol.js";

const { bucket, kmsKeyId } = inject("world");
const targets = inject("peers").filter(({ name }) => name.startsWith("java-"));
const clients = new Map<string, ProtocolClient>();
const keys = newKeys(kmsKeyId);
const isThere = (name: string) => clients.has(name);

for (const { name, port } of targets) if (port !== undefined) clients.set(name, new ProtocolClient(port));
afterAll(() => {
  for (const client of clients.values()) client.close();
});

function clientOf(name: string): ProtocolClient {
  const client = clients.get(name);
  if (!client) throw new Error(`${name} is not there`);
  return client;
}

const present = writings.filter(({ writer }) => isThere(writer));

describe.each(present)("$name", (writing) => {
  const body = testBytes(17, 17);
  beforeAll(async () => {
    const writer = clientOf(writing.writer);
    const id = await writer.createClient(writerConfig(writing, keys));
    await writer.put(id, bucket, writing.name, body, contextOf(writing));
  });

  test.each(readings.filter(({ reader }) => isThere(reader)))(
    "is read by $name or refused",
    async (reading) => {
      const reader = clientOf(reading.reader);
      const id = await reader.createClient(readerConfig(reading, writing, keys));
      const context = reading.statesContext ? contextOf(writing) : {};
      const got = await reader.get(id, bucket, writing.name, { context }).catch((error: unknown) => error);
      if (reading.reads(writing)) expect(got).toEqual(body);
      else expect(got).toMatchObject({ kind: "S3EncryptionClientError" } satisfies Partial<PeerError>);
    },
  );
});
