/** Checks of large objects: uploads and downloads of files, resumed and distributed, and reads at any offset. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { EnvelopeClient } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { type EnvelopeContext, leftovers } from "./envelope.js";

const operation = "EnvelopeClient";
const partSizeBytes = 5 * 1024 * 1024;
/** Four parts, and two blocks of a download. */
const bytes = testBytes(3 * partSizeBytes + 12_345, 5);
let keys = 0;

/** The context of a check: its own key, and a folder with a file. */
interface LargeContext extends EnvelopeContext {
  readonly at: { readonly Bucket: string; readonly Key: string };
  readonly folder: string;
  readonly source: string;
  readonly target: string;
  readonly client: EnvelopeClient;
}

function check(name: string, act: (c: LargeContext) => Promise<void>): Check<EnvelopeContext> {
  return {
    operation,
    name,
    async run(c) {
      const folder = await mkdtemp(join(tmpdir(), "s3-envelope-large-"));
      const [source, target] = [join(folder, "source"), join(folder, "target")];
      try {
        await writeFile(source, bytes);
        const at = { Bucket: c.Bucket, Key: `large/${++keys} ü` };
        await act({ ...c, at, folder, source, target, client: clientOf(c, c.s3) });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

function clientOf({ keyring }: EnvelopeContext, s3: S3Client, maxConcurrentParts = 4): EnvelopeClient {
  return new EnvelopeClient({ s3, keyring, partSizeBytes, maxConcurrentParts });
}

/** A client that cannot reach S3 from the given request of an operation on. */
function failingAt(c: EnvelopeContext, command: string, count: number): EnvelopeClient {
  let left = count;
  const send = (sent: object, options: object) => {
    if (sent.constructor.name === `${command}Command` && --left < 0)
      throw Object.assign(new Error("out of reach"), { name: "NetworkingError" });
    return c.s3.send(sent as GetObjectCommand, options);
  };
  // One part at a time, so that the earlier ones are stored.
  return clientOf(c, { config: c.s3.config, send } as unknown as S3Client, 1);
}

async function stored({ client, at }: LargeContext): Promise<Uint8Array> {
  return (await client.get(at)).Body.transformToByteArray();
}

/** Each check over every server. */
export const largeChecks: readonly Check<EnvelopeContext>[] = [
  ...(["metadata", "sidecar"] as const).map((envelopeStorage) =>
    check(`a file goes up and comes down, envelope in ${envelopeStorage}`, async (c) => {
      const { at, client, source, target, folder } = c;
      await client.upload({ ...at, filePath: source, envelopeStorage });
      expectBytes(await stored(c), bytes);
      await client.download({ ...at, filePath: target });
      expectBytes(await readFile(target), bytes);
      expect((await readdir(folder)).sort()).toEqual(["source", "target"]);
      const { Body, ContentLength } = await client.get({ ...at, parallel: true });
      expect(ContentLength).toBe(bytes.length);
      expectBytes(await Body.transformToByteArray(), bytes);
      await client.delete(at);
    }),
  ),
  check("an upload that was cut short goes on", async (c) => {
    const { at, client, source, folder, Bucket, Key } = { ...c, ...c.at };
    const input = { ...at, filePath: source, checkpointPath: join(folder, "checkpoint") };
    const error = await errorOf(() => failingAt(c, "UploadPart", 2).upload(input));
    expect(error).toEqual(coded("S3_UNAVAILABLE"));
    const progress: number[] = [];
    await client.upload(input, { onProgress: ({ parts }) => progress.push(parts) });
    expect(progress[0]).toBe(2);
    expectBytes(await stored(c), bytes);
    expect(await leftovers({ ...c, Bucket }, Key)).toEqual([Key]);
    expect(await readdir(folder)).toEqual(["source"]);
  }),
  check("an upload whose source has changed does not go on, and can be given up", async (c) => {
    const { at, client, source, folder } = c;
    const checkpointPath = join(folder, "checkpoint");
    const input = { ...at, source: { length: bytes.length, read: reader(bytes) }, checkpointPath };
    await errorOf(() => failingAt(c, "UploadPart", 1).upload(input));
    const other = Buffer.from(bytes);
    other[99] = (other[99] ?? 0) ^ 1;
    const changed = { ...input, source: { length: other.length, read: reader(other) } };
    expect(await errorOf(() => client.upload(changed))).toEqual(coded("SOURCE_CHANGED"));
    await client.abortUpload({ checkpointPath });
    expect(await leftovers(c, at.Key)).toEqual([]);
    expect(await readdir(folder)).toEqual(["source"]);
    await client.upload({ ...input, source: undefined, filePath: source });
    expectBytes(await stored(c), bytes);
  }),
  check("clients that share an upload, each with parts of it", async (c) => {
    const { at, client, source } = c;
    const ticket = await client.beginUpload({ ...at, plaintextLength: bytes.length, Metadata: { a: "b" } });
    const told = JSON.parse(JSON.stringify(ticket)) as typeof ticket;
    const parts = await Promise.all(
      [4, 2, 1, 3].map((PartNumber) =>
        clientOf(c, c.s3).uploadPart({
          ticket: told,
          PartNumber,
          filePath: source,
          tagDigest: "first-attempt",
        }),
      ),
    );
    await client.completeUpload({ ticket: told, parts });
    expectBytes(await stored(c), bytes);
    expect((await client.head(at)).Metadata).toEqual({ a: "b" });
  }),
  check("unfinished uploads are found and aborted by their age", async (c) => {
    const { at, client } = c;
    const list = { Bucket: at.Bucket, Prefix: at.Key };
    const { UploadId } = await client.beginUpload({ ...at, plaintextLength: bytes.length });
    const found = [];
    for await (const upload of client.listUploads(list)) found.push(upload);
    expect(found).toMatchObject([{ Key: at.Key, UploadId }]);
    const hour = 3_600_000;
    expect((await client.abortUploads({ ...list, olderThanMs: hour })).aborted).toEqual([]);
    const initiatedBefore = new Date(Date.now() + hour);
    const { aborted, failed } = await client.abortUploads({ ...list, initiatedBefore });
    expect([aborted.map((upload) => upload.UploadId), failed]).toEqual([[UploadId], []]);
    expect(await leftovers(c, at.Key)).toEqual([]);
  }),
  check("a download that was cut short goes on", async (c) => {
    const { at, client, source, target, folder } = c;
    await client.upload({ ...at, filePath: source });
    const input = { ...at, filePath: target };
    const options = { abortSignal: AbortSignal.timeout(20_000) };
    const error = await errorOf(() => failingAt(c, "GetObject", 1).download(input, options));
    expect(error).toEqual(coded("S3_UNAVAILABLE"));
    expect(await readdir(folder)).not.toContain("target");
    const { resumedBytes } = await client.download(input);
    expect(resumedBytes).toBe(8 * 2 ** 20);
    expectBytes(await readFile(target), bytes);
    expect((await readdir(folder)).sort()).toEqual(["source", "target"]);
  }),
  check("an open object is read at any offset, until it is overwritten", async (c) => {
    const { at, client, source } = c;
    await client.upload({ ...at, filePath: source });
    const object = await client.open(at);
    expect(object.plaintextLength).toBe(bytes.length);
    for (const [offset, length] of [
      [bytes.length - 100, 200],
      [0, 1],
      [5_000_000, 4096],
      [16_383, 2],
    ] as const)
      expectBytes(await object.read(offset, offset + length), bytes.subarray(offset, offset + length));
    await client.put({ ...at, Body: bytes.subarray(1) });
    expect(await errorOf(() => object.read(9_000_000, 9_000_001))).toEqual(coded("BODY_INTERRUPTED"));
    object.close();
  }),
  check(
    "an object that was cut short is told before a byte of it, when its length is asked for",
    async (c) => {
      const { at, client, s3 } = c;
      await client.put({ ...at, Body: bytes.subarray(0, 200_000) });
      const { Body, Metadata } = await s3.send(new GetObjectCommand(at));
      const sealed = Buffer.from((await Body?.transformToByteArray()) ?? []);
      await s3.send(new PutObjectCommand({ ...at, Body: sealed.subarray(0, 100_000), Metadata }));
      const cut = () => client.get({ ...at, Range: "bytes=0-9", verifyLength: true });
      expect(await errorOf(cut)).toEqual(coded("DECRYPTION_FAILED"));
      const { Body: first } = await client.get({ ...at, Range: "bytes=0-9" });
      expectBytes(await first.transformToByteArray(), bytes.subarray(0, 10));
    },
  ),
];

function reader(of: Buffer) {
  return async (start: number, end: number) => of.subarray(start, end);
}
