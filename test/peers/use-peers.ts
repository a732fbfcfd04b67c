/** Helpers for tests of the peers: a client of each available peer, and objects to exchange. */
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, inject, test } from "vitest";
import { contextOf, newKeys, type Writing, writerConfig, writings } from "./matrix.js";
import { type ClientConfig, type GetOptions, ProtocolClient, type ReencryptOptions } from "./protocol.js";
import { type Reading, readerConfig, readings, statedContext } from "./readings.js";

/** Any number of bytes on either side of a block, of a part, and of several parts. */
export const sizes = [0, 1, 15, 16, 17, 1024 * 1024, 40 * 1024 * 1024];

/** Connects a test file to the running peers. */
export function usePeers() {
  const { bucket, kmsKeyId, s3: s3Config } = inject("world");
  const s3 = new S3Client(s3Config);
  const clients = new Map<string, ProtocolClient>();
  for (const { name, port } of inject("peers")) {
    if (port !== undefined) clients.set(name, new ProtocolClient(port));
  }
  afterAll(() => {
    s3.destroy();
    for (const client of clients.values()) client.close();
  });
  const keys = newKeys(kmsKeyId);

  /** A new client in a peer. */
  async function clientIn(name: string, config: ClientConfig) {
    const peer = clients.get(name);
    if (!peer) throw new Error(`${name} is not there`);
    const id = await peer.createClient(config);
    return {
      put: (object: string, body: Uint8Array, context?: Readonly<Record<string, string>>) =>
        peer.put(id, bucket, object, body, context),
      get: (object: string, options?: GetOptions) => peer.get(id, bucket, object, options),
      reencrypt: (object: string, options: ReencryptOptions) => peer.reencrypt(id, bucket, object, options),
    };
  }

  return {
    keys,
    kmsKeyId,
    clientIn,
    has: (name: string) => clients.has(name),
    /** Tests of peers that are not available are reported as skipped. */
    testWith: (...names: string[]) => test.runIf(names.every((name) => clients.has(name))),
    async write(writing: Writing, object: string, body: Uint8Array, context = contextOf(writing)) {
      const client = await clientIn(writing.writer, writerConfig(writing, keys));
      await client.put(object, body, context);
    },
    async read(reading: Reading, writing: Writing, object: string, options: GetOptions = {}) {
      const client = await clientIn(reading.reader, readerConfig(reading, writing, keys));
      return client.get(object, { context: statedContext(reading, writing), ...options });
    },
    /** An object as S3 stores it. The ETag of a multipart object shows the number of its parts. */
    async stored(object: string): Promise<{ body: Buffer; tag: string }> {
      const { Body, ETag = "" } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: object }));
      return { body: Buffer.from((await Body?.transformToByteArray()) ?? []), tag: ETag };
    },
  };
}

/** The way of writing with this name. */
export function writingNamed(name: string): Writing {
  return namedIn(writings, name);
}

/** The way of reading with this name. */
export function readingNamed(name: string): Reading {
  return namedIn(readings, name);
}

function namedIn<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  const found = list.find((one) => one.name === name);
  if (!found) throw new Error(`${name}: the matrix has no such name`);
  return found;
}
