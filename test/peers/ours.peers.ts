/** This library among Amazon's clients: it reads what all of them write, and all of them read what it writes. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import { contextOf, newKeys, readerConfig, readings, writerConfig, writings } from "./matrix.js";
import { ProtocolClient } from "./protocol.js";

const ours = "s3-envelope";
const { bucket, kmsKeyId } = inject("world");
const keys = newKeys(kmsKeyId);
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

const kmsOnly = ["python-v4", "go-v3"];
const present = writings.filter(({ writer }) => clients.has(writer));

describe.each(present)("$name", (writing) => {
  const body = testBytes(17, 17);
  const object = `ours ${writing.name}`;
  beforeAll(async () => {
    const from = clientOf(writing.writer);
    const id = await from.createClient(writerConfig(writing, keys));
    await from.put(id, bucket, object, body, contextOf(writing));
  });

  const others = readings.filter(
    ({ reader }) =>
      clients.has(reader) &&
      (reader === ours || writing.writer === ours) &&
      (writing.key === "kms" || !kmsOnly.includes(reader)),
  );
  test.each(others)("$name", async (reading) => {
    const to = clientOf(reading.reader);
    const id = await to.createClient(readerConfig(reading, writing, keys));
    const got = to.get(id, bucket, object, { context: contextOf(writing, reading) });
    if (reading.reads(writing)) expect(await got).toEqual(body);
    else if (reading.passesOn?.(writing)) expect((await got).length).toBe(body.length + 16);
    else await expect(got).rejects.toMatchObject({ kind: "S3EncryptionClientError" });
  });
});
