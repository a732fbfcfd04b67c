/** Small reads all over a large object: plain ranged GetObjects, `get` with Range, and an object that is open. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KMSClient } from "@aws-sdk/client-kms";
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { createS3Client, EnvelopeClient, kmsKeyring, type OpenObject } from "s3-envelope";
import { formatBytes, kibibyte, mebibyte, repeated } from "./bytes.js";
import { type Case, measure, tableOf } from "./measure.js";
import { type ServerReady, withServer } from "./processes.js";
import type { Table } from "./results.js";
import { bucket } from "./s3-clients.js";

const readBytes = 4 * kibibyte;
/** No two places within it are alike. */
const block = randomBytes(mebibyte);

/** How much and how often. */
export interface RandomReadSettings {
  readonly rounds: number;
  readonly bytes: number;
  /** Reads in a round. */
  readonly reads: number;
  /** Reads that are under way at the same time. */
  readonly counts: readonly number[];
}

interface Reader {
  readonly name: string;
  /** The work before the reads, which is measured as well. */
  begin?(): Promise<void>;
  /** Reads 4 KiB. */
  read(offset: number): Promise<Uint8Array | undefined>;
}

/** Tables of reads a second; the rows tell what a read moves and how often KMS was asked. */
export async function benchRandomReads(
  settings: RandomReadSettings,
  show: (table: Table) => void,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "s3-envelope-bench-"));
  try {
    await withServer({ directory }, (ready) => benchAt(ready, settings, show));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function benchAt(
  { s3Config, kmsConfig, keyId }: ServerReady,
  { rounds, bytes, reads, counts }: RandomReadSettings,
  show: (table: Table) => void,
): Promise<void> {
  const s3 = createS3Client(s3Config);
  const kms = new KMSClient(kmsConfig);
  const seen = { bytes: 0, kmsCalls: 0 };
  countBytes(s3, seen);
  kms.middlewareStack.add((next) => (args) => {
    seen.kmsCalls += 1;
    return next(args);
  });
  const envelope = new EnvelopeClient({ s3, keyring: kmsKeyring({ kms, keyId }) });
  const [plain, encrypted] = ["plain", "encrypted"].map((Key) => ({ Bucket: bucket, Key }));
  if (!plain || !encrypted) throw new Error("unreachable: there are two");
  await s3.send(
    new PutObjectCommand({ ...plain, Body: Buffer.concat([...repeated(block, bytes, mebibyte)]) }),
  );
  await envelope.put({ ...encrypted, Body: repeatedStream(bytes), ContentLength: bytes });
  let opened: OpenObject | undefined;
  const reopen = async () => {
    opened?.close();
    opened = await envelope.open(encrypted);
  };
  const readers: readonly Reader[] = [
    {
      name: "plain GetObject with Range",
      read: async (offset) =>
        (
          await s3.send(new GetObjectCommand({ ...plain, Range: rangeOf(offset) }))
        ).Body?.transformToByteArray(),
    },
    {
      name: "envelope.get with Range",
      read: async (offset) =>
        (await envelope.get({ ...encrypted, Range: rangeOf(offset) })).Body.transformToByteArray(),
    },
    {
      name: "envelope.open, then read",
      begin: reopen,
      read: async (offset) => opened?.read(offset, offset + readBytes),
    },
  ];
  const offsets = Array.from({ length: reads }, (_, index) => (index * 2_654_435_761) % (bytes - readBytes));
  for (const { name, begin, read } of readers) {
    await begin?.();
    for (const offset of offsets.slice(0, 50)) await check(name, offset, await read(offset));
  }
  for (const count of counts) {
    const notes = new Map<string, string>();
    const cases = readers.map(
      ({ name, begin, read }): Case => ({
        name,
        run: async () => {
          Object.assign(seen, { bytes: 0, kmsCalls: 0 });
          const start = performance.now();
          await begin?.();
          let next = 0;
          const one = async () => {
            for (let offset = offsets[next++]; offset !== undefined; offset = offsets[next++])
              await read(offset);
          };
          await Promise.all(Array.from({ length: count }, one));
          const rate = (reads / (performance.now() - start)) * 1000;
          const kibibytes = (seen.bytes / reads / kibibyte).toFixed(1);
          notes.set(name, `${kibibytes} KiB a read, ${seen.kmsCalls} calls of KMS`);
          return rate;
        },
      }),
    );
    const measured = await measure(rounds, cases);
    const head = {
      id: `random-reads-${count}`,
      title: `${reads} reads of ${formatBytes(readBytes)} all over ${formatBytes(bytes)}, ${count} at once; S3 and KMS in another process`,
      unit: "/s",
      better: "higher",
    } as const;
    show(
      tableOf(
        head,
        measured.map((row) => ({ ...row, note: notes.get(row.name) })),
      ),
    );
  }
  opened?.close();
  s3.destroy();
  kms.destroy();
}

/** Counts the bytes of response bodies. */
function countBytes(s3: S3Client, seen: { bytes: number }): void {
  s3.middlewareStack.add((next) => async (args) => {
    const result = await next(args);
    seen.bytes += (result.output as Partial<GetObjectCommandOutput>).ContentLength ?? 0;
    return result;
  });
}

async function* repeatedStream(bytes: number): AsyncGenerator<Buffer> {
  yield* repeated(block, bytes, 64 * kibibyte);
}

function rangeOf(offset: number): string {
  return `bytes=${offset}-${offset + readBytes - 1}`;
}

async function check(name: string, offset: number, got: Uint8Array | undefined): Promise<void> {
  const start = offset % block.length;
  const expected = Buffer.concat([block, block.subarray(0, readBytes)]).subarray(start, start + readBytes);
  if (!got || !expected.equals(got)) throw new Error(`${name}: the output is wrong: nothing is timed`);
}
