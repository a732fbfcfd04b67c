/** Encrypted uploads, downloads and ranges beside plain ones of the SDK; S3 in another process. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import {
  drain,
  formatBytes,
  kibibyte,
  mebibyte,
  readable,
  sha256,
  sha256Of,
  sourcePieceBytes,
} from "./bytes.js";
import { type Aim, type Case, measure, rateOf, type Series, tableOf } from "./measure.js";
import { withServer } from "./processes.js";
import type { Table } from "./results.js";
import { bucket, type Clients, clientsOf, partSizeBytes, partsAtOnce, type S3Variant } from "./s3-clients.js";
import { percentile } from "./statistics.js";

/** How much and how often. */
export interface TransferSettings {
  readonly rounds: number;
  readonly bytes: number;
  /** Ranges in a round. */
  readonly ranges: number;
}

const rangeBytes = 64 * kibibyte;
const checkedBytes = 10 * mebibyte;
const block = randomBytes(sourcePieceBytes);
const keys = { plain: "plain", encrypted: "encrypted" } as const;

/** One way to upload and download. */
interface Transfer {
  readonly name: string;
  readonly key: string;
  upload(bytes: number): Promise<unknown>;
  download(range?: string): Promise<AsyncIterable<Uint8Array>>;
}

/** Tables of uploads, downloads and ranges. */
export async function benchTransfers(
  variant: S3Variant,
  settings: TransferSettings,
  show: (table: Table) => void,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "s3-envelope-bench-"));
  try {
    await withServer({ ...variant.server, directory }, async ({ s3Config }) => {
      const clients = clientsOf(variant, s3Config);
      const transfers = transfersOf(clients);
      await check(transfers, checkedBytes);
      for (const { upload } of transfers) await upload(settings.bytes);
      await benchDownloads(variant, settings, transfers, show);
      await benchRanges(variant, settings, transfers, show);
      clients.s3.destroy();
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  await withServer({ ...variant.server, discardBodies: true }, async ({ s3Config }) => {
    const clients = clientsOf(variant, s3Config);
    await benchUploads(variant, settings, transfersOf(clients), show);
    clients.s3.destroy();
  });
}

function transfersOf({ s3, onThread, withWorkers }: Clients): readonly Transfer[] {
  const encrypting = { "with workers": withWorkers, "on one thread": onThread };
  return [
    {
      name: "plain",
      key: keys.plain,
      upload: (bytes) =>
        new Upload({
          client: s3,
          params: { Bucket: bucket, Key: keys.plain, Body: generate(bytes) },
          partSize: partSizeBytes,
          queueSize: partsAtOnce,
        }).done(),
      download: async (range) => {
        const { Body } = await s3.send(
          new GetObjectCommand({ Bucket: bucket, Key: keys.plain, Range: range }),
        );
        return Body as Readable;
      },
    },
    ...Object.entries(encrypting).map(
      ([name, client]): Transfer => ({
        name: `encrypted, ${name}`,
        key: keys.encrypted,
        upload: (bytes) => client.put({ Bucket: bucket, Key: keys.encrypted, Body: generate(bytes) }),
        download: async (range) =>
          (await client.get({ Bucket: bucket, Key: keys.encrypted, Range: range })).Body,
      }),
    ),
  ];
}

/** A stream of unknown length in which no two pieces are equal. */
function generate(bytes: number): Readable {
  return readable(generatedPieces(bytes));
}

function* generatedPieces(bytes: number): Generator<Buffer> {
  for (let index = 0; index < bytes / block.length; index++) {
    const piece = Buffer.from(block);
    piece.writeUInt32BE(index);
    yield piece;
  }
}

/** Uploads every way, downloads every way, compares. */
async function check(transfers: readonly Transfer[], bytes: number): Promise<void> {
  const expected = sha256(generatedPieces(bytes));
  for (const { name, upload, download } of transfers) {
    await upload(bytes);
    const outputs = [await sha256Of(await download()), await sha256Of(await download(rangeFrom(0)))];
    if (outputs[0] !== expected || outputs[1] !== sha256(generatedPieces(rangeBytes)))
      throw new Error(`${name}: the output is wrong: nothing is timed`);
  }
}

async function benchUploads(
  variant: S3Variant,
  { bytes, rounds }: TransferSettings,
  transfers: readonly Transfer[],
  show: (table: Table) => void,
): Promise<void> {
  const how = `parts of ${formatBytes(partSizeBytes)}, ${partsAtOnce} at once; plain is Upload of lib-storage`;
  const title = `upload of a generated stream of ${formatBytes(bytes)}, ${how}`;
  const cases = ratesOf(transfers, bytes, ({ upload }) => upload(bytes));
  show(transferTable("upload", title, variant, await measure(rounds, cases)));
}

async function benchDownloads(
  variant: S3Variant,
  { bytes, rounds }: TransferSettings,
  transfers: readonly Transfer[],
  show: (table: Table) => void,
): Promise<void> {
  const title = `download of ${formatBytes(bytes)}; plain is GetObject`;
  const cases = ratesOf(transfers, bytes, async ({ download }) => drain(await download()));
  show(transferTable("download", title, variant, await measure(rounds, cases)));
}

/** The rate of each way, in MB/s. */
function ratesOf(
  transfers: readonly Transfer[],
  bytes: number,
  run: (transfer: Transfer) => Promise<unknown>,
): Case[] {
  return transfers.map((transfer) => ({
    name: transfer.name,
    run: () => rateOf(bytes / 1e6, () => run(transfer)),
  }));
}

function transferTable(id: string, title: string, variant: S3Variant, measured: readonly Series[]): Table {
  const aims: readonly Aim[] = [{ kind: "ratio", to: "plain", aim: ">= 0.97x" }];
  const series = measured.map((row, index) => ({ ...row, aims: index === 0 ? undefined : aims }));
  const head = { id: `${id}${variant.suffix}`, title: `${title}; ${variant.title}` };
  return tableOf({ ...head, unit: "MB/s", better: "higher" }, series);
}

/** Ranges out of the middle, one after the other. */
async function benchRanges(
  variant: S3Variant,
  { bytes, rounds, ranges }: TransferSettings,
  transfers: readonly Transfer[],
  show: (table: Table) => void,
): Promise<void> {
  const cases = transfers.map(
    ({ name, download }): Case<Latency> => ({
      name,
      run: async () => {
        const milliseconds: number[] = [];
        const begin = performance.now();
        for (let index = 0; index < ranges; index++) {
          const start = performance.now();
          // Not at the bounds of chunks, and each time somewhere else.
          await drain(await download(rangeFrom(Math.floor(bytes / 3) + index * 100_003)));
          milliseconds.push(performance.now() - start);
        }
        const rate = (ranges / (performance.now() - begin)) * 1000;
        milliseconds.sort((left, right) => left - right);
        return { rate, p50: percentile(milliseconds, 50), p99: percentile(milliseconds, 99) };
      },
    }),
  );
  const measured = await measure(rounds, cases);
  const what = `range of ${formatBytes(rangeBytes)} out of ${formatBytes(bytes)}, one at a time`;
  for (const metric of ["rate", "p50", "p99"] as const) {
    const series = measured.map(({ name, samples }) => ({
      name,
      samples: samples.map((sample) => sample[metric]),
    }));
    const head =
      metric === "rate"
        ? ({
            id: `range${variant.suffix}`,
            title: `${what}; ${variant.title}`,
            unit: "/s",
            better: "higher",
          } as const)
        : ({
            id: `range-${metric}${variant.suffix}`,
            title: `latency ${metric}, ${what}`,
            unit: "ms",
            better: "lower",
          } as const);
    show(tableOf(head, series));
  }
}

interface Latency {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

function rangeFrom(start: number): string {
  return `bytes=${start}-${start + rangeBytes - 1}`;
}
