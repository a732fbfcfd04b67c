/** Uploads and downloads of one large file beside plain ones of the SDK; S3 in another process. */
import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { Agent, get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import type { EnvelopeClient } from "s3-envelope";
import { presignedUrl } from "../test/testing/raw.js";
import { formatBytes, mebibyte, sha256Of } from "./bytes.js";
import { type Case, measure, rateOf, tableOf } from "./measure.js";
import { type ServerReady, withServer } from "./processes.js";
import type { Table } from "./results.js";
import { bucket, clientsOf, partSizeBytes, partsAtOnce, s3Variants } from "./s3-clients.js";

/** How much and how often. */
export interface LargeObjectSettings {
  readonly rounds: number;
  readonly sizes: readonly number[];
}

const [variant] = s3Variants;
/** Requests of the raw client at a time, as many as of a download: more do not make the server faster without a limit. */
const rawRequests = 4;

/**
 * The S3 sends as fast as it can, then at most so many bytes a second on each connection. AWS suggests one request at a
 * time for each 85 to 90 MB/s that are wanted, each on a connection of its own ("Horizontal scaling and request
 * parallelization for high throughput" in
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html).
 */
const connectionRates = [undefined, 90e6];

/** A table of uploads and one of downloads for each size. */
export async function benchLargeObjects(
  { rounds, sizes }: LargeObjectSettings,
  show: (table: Table) => void,
): Promise<void> {
  if (!variant) throw new Error("unreachable: there are variants");
  const folder = await mkdtemp(join(tmpdir(), "s3-envelope-bench-"));
  const source = join(folder, "source");
  const target = join(folder, "target");
  try {
    for (const bytes of sizes) {
      await writeRandom(source, bytes);
      for (const rate of connectionRates) {
        const server = { directory: join(folder, "s3") };
        const measureDownloads = async ({ s3Config }: ServerReady) => {
          const { s3, withWorkers: envelope } = clientsOf(variant, s3Config);
          await uploadPlain(s3, source);
          await envelope.upload({ Bucket: bucket, Key: "encrypted", filePath: source });
          await check(s3, envelope, source, target);
          const url = () => presignedUrl(s3Config, { path: `/${bucket}/plain` });
          show(await downloads(rounds, bytes, s3, envelope, target, url, rate));
          s3.destroy();
        };
        await withServer(server, measureDownloads, rate);
      }
      await rm(join(folder, "s3"), { recursive: true, force: true });
      await withServer({ discardBodies: true }, async ({ s3Config }) => {
        const { s3, withWorkers: envelope } = clientsOf(variant, s3Config);
        show(await uploads(rounds, bytes, s3, envelope, source));
        s3.destroy();
      });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A file in which no two mebibytes are equal. */
async function writeRandom(path: string, bytes: number): Promise<void> {
  const file = await open(path, "w");
  const block = randomBytes(mebibyte);
  for (let start = 0; start < bytes; start += block.length) {
    block.writeUInt32BE(start / block.length);
    await file.write(block, 0, Math.min(block.length, bytes - start));
  }
  await file.close();
}

function uploadPlain(s3: S3Client, path: string): Promise<unknown> {
  const params = { Bucket: bucket, Key: "plain", Body: createReadStream(path) };
  return new Upload({ client: s3, params, partSize: partSizeBytes, queueSize: partsAtOnce }).done();
}

async function downloadPlain(s3: S3Client, path: string): Promise<void> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "plain" }));
  await pipeline(Body as Readable, createWriteStream(path));
}

async function check(s3: S3Client, envelope: EnvelopeClient, source: string, target: string): Promise<void> {
  const expected = await sha256Of(createReadStream(source));
  const ways = [
    () => downloadPlain(s3, target),
    () => envelope.download({ Bucket: bucket, Key: "encrypted", filePath: target }),
  ];
  for (const way of ways) {
    await way();
    if ((await sha256Of(createReadStream(target))) !== expected)
      throw new Error("what came back is not what was sent: nothing is timed");
  }
}

async function uploads(
  rounds: number,
  bytes: number,
  s3: S3Client,
  envelope: EnvelopeClient,
  source: string,
): Promise<Table> {
  const run = (work: () => Promise<unknown>) => () => rateOf(bytes / 1e6, work);
  const plain = "plain, Upload of lib-storage";
  const cases: Case[] = [
    { name: plain, run: run(() => uploadPlain(s3, source)) },
    {
      name: "encrypted, upload",
      run: run(() => envelope.upload({ Bucket: bucket, Key: "encrypted", filePath: source })),
    },
  ];
  const measured = await measure(rounds, cases);
  const aims = [{ kind: "ratio", to: plain, aim: ">= 1.0x" }] as const;
  const how = `parts of ${formatBytes(partSizeBytes)}, ${partsAtOnce} at once, S3 in another process over HTTP`;
  return tableOf(
    {
      id: `file-upload-${formatBytes(bytes)}`.replaceAll(" ", ""),
      title: `upload of a file of ${formatBytes(bytes)}; ${how}`,
      unit: "MB/s",
      better: "higher",
    },
    measured.map((row, index) => ({ ...row, aims: index === 0 ? undefined : aims })),
  );
}

async function downloads(
  rounds: number,
  bytes: number,
  s3: S3Client,
  envelope: EnvelopeClient,
  target: string,
  url: () => Promise<URL>,
  rate: number | undefined,
): Promise<Table> {
  const run = (work: () => Promise<unknown>) => () => rateOf(bytes / 1e6, work);
  const fresh = (work: () => Promise<unknown>) =>
    run(async () => {
      await work();
      // So that files of an earlier round are neither found nor overwritten.
      await rm(target);
    });
  const plain = "plain, GetObject piped to a file";
  const limit = `limit of the server: ${rawRequests} raw requests, read and dropped`;
  const cases: Case[] = [
    { name: plain, run: fresh(() => downloadPlain(s3, target)) },
    {
      name: "encrypted, download",
      run: fresh(() => envelope.download({ Bucket: bucket, Key: "encrypted", filePath: target })),
    },
    {
      name: "encrypted, download, no fsync",
      run: fresh(() =>
        envelope.download({ Bucket: bucket, Key: "encrypted", filePath: target, fsync: false }),
      ),
    },
    { name: limit, run: run(() => readRaw(bytes, url)) },
  ];
  const measured = await measure(rounds, cases);
  const aims = [
    { kind: "ratio", to: plain, aim: ">= 1.5x, or the limit" },
    { kind: "ratio", to: limit, aim: "1.0x" },
  ] as const;
  const limited = rate === undefined ? "" : `, at most ${rate / 1e6} MB/s on each connection`;
  const suffix = rate === undefined ? "" : "-limited";
  return tableOf(
    {
      id: `file-download-${formatBytes(bytes)}${suffix}`.replaceAll(" ", ""),
      title: `download of ${formatBytes(bytes)} to a file; S3 in another process over HTTP${limited}`,
      unit: "MB/s",
      better: "higher",
    },
    measured.map((row) => ({ ...row, aims: row.name.startsWith("encrypted") ? aims : undefined })),
  );
}

/** The object once, in stretches at the same time, without the SDK. */
async function readRaw(bytes: number, url: () => Promise<URL>): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const stretch = Math.ceil(bytes / rawRequests);
  const read = async (start: number) => {
    const address = await url();
    const headers = { range: `bytes=${start}-${Math.min(start + stretch, bytes) - 1}` };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      get(address, { agent, headers }, resolve).on("error", reject);
    });
    let seen = 0;
    answer.on("data", (piece: Buffer) => {
      seen += piece.length;
    });
    await new Promise<void>((resolve, reject) => answer.on("end", resolve).on("error", reject));
    return seen;
  };
  const seen = await Promise.all(Array.from({ length: rawRequests }, (_, index) => read(index * stretch)));
  agent.destroy();
  if (seen.reduce((sum, part) => sum + part, 0) !== bytes) throw new Error("the server sent something else");
}
