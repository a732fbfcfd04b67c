/** Reads of objects of Amazon's clients beside a plain decipher of Node in a pipeline; S3 in another process. */
import { createDecipheriv, createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { aesKeyring, EnvelopeClient } from "s3-envelope";
import { type LegacyReadingOptions, legacyAesKeyring, legacyReading } from "s3-envelope/legacy";
import {
  blockBytes,
  formatBytes,
  gibibyte,
  mebibyte,
  nowhere,
  repeated,
  type Sink,
  sha256,
  sourcePieceBytes,
  writable,
} from "./bytes.js";
import { type LegacyContent, type LegacySecrets, putLegacy } from "./legacy-objects.js";
import { type Aim, measure, rateOf, tableOf } from "./measure.js";
import { withServer } from "./processes.js";
import type { Table } from "./results.js";
import { bucket, s3Variants } from "./s3-clients.js";

/** How much and how often. */
export interface LegacyReadSettings {
  readonly rounds: number;
  readonly sizes: readonly number[];
}

/** A larger object is not held in memory here. */
const maxHeldBytes = 256 * mebibyte;
const [variant] = s3Variants;

/** One way to read an object. */
interface Way {
  readonly name: string;
  readonly aims?: readonly Aim[];
  read(sink: Sink): Promise<void>;
}

/** A table for each content algorithm and size. */
export async function benchLegacyReads(
  { rounds, sizes }: LegacyReadSettings,
  show: (table: Table) => void,
): Promise<void> {
  if (!variant) throw new Error("unreachable: there are variants");
  const folder = await mkdtemp(join(tmpdir(), "s3-envelope-bench-"));
  const wrappingKey = randomBytes(32);
  const block = randomBytes(blockBytes);
  try {
    for (const bytes of sizes) {
      const plaintext = () => repeated(block, bytes, sourcePieceBytes);
      const digest = sha256(plaintext());
      await withServer({ directory: join(folder, formatBytes(bytes)) }, async ({ s3Config }) => {
        const s3 = variant.client(s3Config);
        for (const content of ["gcm", "cbc"] as const) {
          const secrets = await putLegacy(s3, content, wrappingKey, plaintext());
          const ways = waysOf(s3, content, secrets, wrappingKey, bytes);
          for (const way of ways) await check(way, digest);
          show(await tableFor(content, ways, rounds, bytes));
        }
        s3.destroy();
      });
      await rm(join(folder, formatBytes(bytes)), { recursive: true, force: true });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function waysOf(
  s3: S3Client,
  content: LegacyContent,
  secrets: LegacySecrets,
  wrappingKey: Buffer,
  bytes: number,
): readonly Way[] {
  const plain = `pipeline(get, createDecipheriv), AES/${content.toUpperCase()}`;
  const envelope = (options: Partial<LegacyReadingOptions>) =>
    new EnvelopeClient({
      s3,
      keyring: aesKeyring({ keyId: "bench", wrappingKey }),
      legacy: legacyReading({
        keyring: legacyAesKeyring({ wrappingKey }),
        commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
        ...options,
      }),
    });
  const way = (name: string, options: Partial<LegacyReadingOptions>, aims?: readonly Aim[]): Way => {
    const client = envelope(options);
    return {
      name,
      ...(aims && { aims }),
      read: async (sink) => {
        const { Body } = await client.get({ Bucket: bucket, Key: content });
        await pipeline(Body, writable(sink));
      },
    };
  };
  const base: Way = {
    name: plain,
    read: async (sink) => {
      const Range = content === "gcm" ? `bytes=0-${bytes - 1}` : undefined;
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: content, Range }));
      await pipeline(Body as Readable, decipherOf(content, secrets), writable(sink));
    },
  };
  const aims = [{ kind: "ratio", to: plain, aim: ">= 0.85x" }] as const;
  if (content === "cbc") {
    const flags = { enableLegacyUnauthenticatedModes: true, enableLegacyWrappingAlgorithms: true };
    return [base, way("get, AES/CBC", flags, aims)];
  }
  const held = { maxBufferedObjectBytes: maxHeldBytes + 16 };
  return [
    base,
    way("get, AES/GCM, released unverified", { releaseUnverifiedPlaintext: true }, aims),
    ...(bytes <= maxHeldBytes ? [way("get, AES/GCM, verified in memory", held)] : []),
  ];
}

function decipherOf(content: LegacyContent, { key, iv, tag }: LegacySecrets) {
  if (content === "cbc") return createDecipheriv("aes-256-cbc", key, iv);
  return createDecipheriv("aes-256-gcm", key, iv).setAuthTag(tag);
}

async function check({ name, read }: Way, expected: string): Promise<void> {
  const hash = createHash("sha256");
  await read((piece) => hash.update(piece));
  if (hash.digest("hex") !== expected)
    throw new Error(`${name}: what came back is not what was sent: nothing is timed`);
}

async function tableFor(
  content: LegacyContent,
  ways: readonly Way[],
  rounds: number,
  bytes: number,
): Promise<Table> {
  const cases = ways.map(({ name, read }) => ({ name, run: () => rateOf(bytes / 1e6, () => read(nowhere)) }));
  const measured = await measure(rounds, cases);
  const head = {
    id: `legacy-${content}-${formatBytes(bytes)}`.replaceAll(" ", ""),
    title: `read of an object of Amazon's clients, AES/${content.toUpperCase()}, ${formatBytes(bytes)}; S3 in another process over HTTP`,
    unit: "MB/s",
    better: "higher",
  } as const;
  return tableOf(
    head,
    measured.map((row, index) => ({ ...row, aims: ways[index]?.aims })),
  );
}

/** The objects that the suite reads. */
export const legacySizes = { quick: [64 * mebibyte], full: [64 * mebibyte, gibibyte] } as const;
