/** How fast the frame layer is beside others, from memory to nowhere, and how that goes with the size. */
import { createHash, randomBytes } from "node:crypto";
import {
  blockBytes,
  formatBytes,
  gibibyte,
  kibibyte,
  mebibyte,
  nowhere,
  piecesOf,
  repeated,
  type Sink,
  sha256,
  sourcePieceBytes,
} from "./bytes.js";
import { type Direction, opensslRow, TwoProcesses } from "./limits.js";
import { type Case, measure, rateOf, tableOf } from "./measure.js";
import { age, esdkBest, esdkDefault, esdkSettings } from "./peers.js";
import type { Table } from "./results.js";
import {
  bareLoop,
  type Open,
  plainPipeline,
  reusingIteration,
  threadIteration,
  threadPipeline,
  type Way,
  webCryptoChunks,
  webCryptoWhole,
  workersIteration,
  workersPipeline,
} from "./ways.js";

/** How long and how often. */
export interface FrameSettings {
  readonly rounds: number;
  /** A run of small messages takes about so long. */
  readonly runSeconds: number;
  /** A run of one large message takes no longer: slow ways get fewer bytes. */
  readonly maxRunSeconds: number;
  readonly sizes: readonly number[];
}

export const quickFrames: FrameSettings = {
  rounds: 3,
  runSeconds: 0.06,
  maxRunSeconds: 0.15,
  sizes: [kibibyte, 32 * mebibyte],
};
export const fullFrames: FrameSettings = {
  rounds: 7,
  runSeconds: 0.3,
  maxRunSeconds: 4,
  sizes: [kibibyte, 16 * kibibyte, 256 * kibibyte, mebibyte, 16 * mebibyte, gibibyte],
};

const block = randomBytes(blockBytes);
/** A message that is decrypted is held in memory; a larger one is replaced by several of this size. */
const maxSealedBytes = 128 * mebibyte;
/** The message length that speeds are compared at. */
const maxTrialBytes = 2 * mebibyte;
const maxWholeBytes = 16 * mebibyte;

/** Tables of both directions for each size; the largest has the limits of the machine and the aims. */
export async function benchFrames(settings: FrameSettings, show: (table: Table) => void): Promise<void> {
  await using processes = await TwoProcesses.start();
  const largest = Math.max(...settings.sizes);
  for (const bytes of settings.sizes) {
    const ways = [
      plainPipeline,
      bareLoop,
      workersPipeline,
      workersIteration,
      reusingIteration,
      threadPipeline,
      threadIteration,
      bytes > maxWholeBytes ? webCryptoChunks : webCryptoWhole,
      esdkBest,
      esdkDefault,
      age,
    ];
    const limits = async (direction: Direction) =>
      bytes < largest
        ? []
        : [
            processes.row(direction, settings.runSeconds * 3000),
            ...(await opensslRow(direction, Math.ceil(settings.rounds / 3))),
          ];
    await compareWays("", settings, bytes, ways, bytes === largest, limits, show);
  }
}

/** The best setting of ESDK-JS. */
export async function benchEsdkSettings(
  settings: FrameSettings,
  show: (table: Table) => void,
): Promise<void> {
  await compareWays("esdk-settings-", settings, 64 * mebibyte, esdkSettings, false, async () => [], show);
}

async function compareWays(
  prefix: string,
  settings: FrameSettings,
  bytes: number,
  ways: readonly Way[],
  withAims: boolean,
  limits: (direction: Direction) => Promise<readonly Case[]>,
  show: (table: Table) => void,
): Promise<void> {
  const small = bytes < mebibyte;
  for (const direction of ["encrypt", "decrypt"] as const) {
    const runs: Run[] = [];
    for (const way of ways) runs.push(await prepare[direction](settings, way, bytes));
    const cases: Case[] = runs.map(({ way, messages, messageBytes, run }) => ({
      name: way.name,
      run: () => rateOf(small ? messages : (messages * messageBytes) / 1e9, run),
    }));
    // Untimed: the first run of a way is up to seven times slower than those that follow.
    await measure(1, cases);
    cases.push(...(await limits(direction)));
    const measured = await measure(settings.rounds, cases);
    const series = measured.map((row, index) => {
      const run = runs[index];
      const note =
        run && run.messageBytes < bytes ? `${run.messages} x ${formatBytes(run.messageBytes)}` : undefined;
      return { ...row, note, aims: withAims ? run?.way.aims : undefined };
    });
    const pieces = bytes > sourcePieceBytes ? ` in pieces of ${formatBytes(sourcePieceBytes)}` : "";
    const head = {
      id: `${prefix}${direction}-${formatBytes(bytes).replace(" ", "-")}`,
      title: `${direction} ${formatBytes(bytes)}${pieces}, from memory to nowhere`,
      unit: small ? "messages/s" : "GB/s",
      better: "higher",
    } as const;
    show(tableOf(head, series));
  }
}

/** The result of one way in one run. */
interface Run {
  readonly way: Way;
  readonly messages: number;
  readonly messageBytes: number;
  run(): Promise<void>;
}

/** Checks a way's output, and decides by its speed how much it gets to do. */
const prepare = {
  encrypt: async ({ maxRunSeconds, runSeconds }: FrameSettings, way: Way, bytes: number): Promise<Run> => {
    const trialBytes = Math.min(bytes, maxTrialBytes);
    await sealed(way, trialBytes);
    const seal = (length: number) => way.seal(repeated(block, length, sourcePieceBytes), nowhere);
    const rate = trialBytes * (await timesInASecond(() => seal(trialBytes)));
    const messageBytes = affordable(bytes, rate * maxRunSeconds);
    return several(way, messageBytes, (rate * runSeconds) / messageBytes, () => seal(messageBytes));
  },
  decrypt: async ({ maxRunSeconds, runSeconds }: FrameSettings, way: Way, bytes: number): Promise<Run> => {
    const trialBytes = Math.min(bytes, maxTrialBytes);
    const trial = await sealed(way, trialBytes);
    const rate = trialBytes * (await timesInASecond(() => trial.open(nowhere)));
    const heldBytes = Math.min(bytes, maxSealedBytes);
    const messageBytes = affordable(heldBytes, rate * maxRunSeconds);
    const message = messageBytes === trialBytes ? trial : await sealed(way, messageBytes);
    const wanted = messageBytes === heldBytes ? bytes / messageBytes : 1;
    const messages = Math.max(
      Math.min(wanted, (rate * maxRunSeconds) / messageBytes),
      (rate * runSeconds) / messageBytes,
    );
    return several(way, messageBytes, messages, () => message.open(nowhere));
  },
};

function several(way: Way, messageBytes: number, wanted: number, run: () => Promise<unknown>): Run {
  const messages = Math.max(1, Math.floor(wanted));
  return {
    way,
    messages,
    messageBytes,
    run: async () => {
      for (let message = 0; message < messages; message++) await run();
    },
  };
}

/** The size, or the largest half, quarter, ... of it that is within the limit; 8 MiB are always done. */
function affordable(bytes: number, limit: number): number {
  let size = bytes;
  while (size > limit && size > blockBytes) size /= 2;
  return size;
}

interface Sealed {
  open(sink: Sink): Promise<void>;
}

/** Seals bytes, opens them again, and compares. */
async function sealed(way: Way, bytes: number): Promise<Sealed> {
  const source = () => repeated(block, bytes, sourcePieceBytes);
  const pieces: Uint8Array[] = [];
  const open: Open = await way.seal(source(), (piece) => pieces.push(Buffer.from(piece)));
  const message = Buffer.concat(pieces);
  const openInto = (sink: Sink) => open(piecesOf(message, way.sealedPieceBytes ?? sourcePieceBytes), sink);
  const opened = createHash("sha256");
  await openInto((piece) => opened.update(piece));
  const plaintext = sha256(source());
  if (opened.digest("hex") !== plaintext || sha256([message]) === plaintext)
    throw new Error(`${way.name}: the output is wrong: nothing is timed`);
  return { open: openInto };
}

/** About how often something can be done in a second, once it has warmed up. */
async function timesInASecond(run: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  while (performance.now() - begin < 20) await run();
  const start = performance.now();
  let times = 0;
  let elapsed = 0;
  while (elapsed < 20) {
    await run();
    times++;
    elapsed = performance.now() - start;
  }
  return (times / elapsed) * 1000;
}
