/** How cost goes with the number of encrypts, or of small puts and gets, that run at once. */
import { randomBytes } from "node:crypto";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { blockBytes, formatBytes, kibibyte, nowhere, repeated, sourcePieceBytes } from "./bytes.js";
import { delayDuring } from "./delay.js";
import { type Case, measure, rateOf, tableOf } from "./measure.js";
import { withServer } from "./processes.js";
import type { Table } from "./results.js";
import { bucket, clientsOf, type S3Variant } from "./s3-clients.js";
import { plainPipeline, threadPipeline, type Way, workersPipeline } from "./ways.js";

const block = randomBytes(blockBytes);

/** The rate of 64 messages at a given concurrency, and the delay of the event loop meanwhile. */
export async function benchConcurrentEncrypts(
  counts: readonly number[],
  bytes: number,
  rounds: number,
  show: (table: Table) => void,
): Promise<void> {
  const total = 64;
  for (const count of counts) {
    const cases = [plainPipeline, workersPipeline, threadPipeline].map(
      (way): Case<{ rate: number; p99: number }> => ({
        name: way.name,
        run: async () => {
          let rate = 0;
          const { p99 } = await delayDuring(async () => {
            rate = await rateOf((total * bytes) / 1e9, () => atOnce(count, total, () => sealOne(way, bytes)));
          });
          return { rate, p99 };
        },
      }),
    );
    const measured = await measure(rounds, cases);
    const work = `64 encrypts of ${formatBytes(bytes)}, ${count} at once`;
    for (const metric of ["rate", "p99"] as const) {
      const series = measured.map(({ name, samples }) => ({
        name,
        samples: samples.map((sample) => sample[metric]),
      }));
      show(
        metric === "rate"
          ? tableOf({ id: `concurrent-${count}`, title: work, unit: "GB/s", better: "higher" }, series)
          : tableOf(
              {
                id: `concurrent-${count}-delay`,
                title: `${work}: event-loop delay, p99`,
                unit: "ms",
                better: "lower",
              },
              series,
            ),
      );
    }
  }
}

async function sealOne(way: Way, bytes: number): Promise<void> {
  await way.seal(repeated(block, bytes, sourcePieceBytes), nowhere);
}

/** A put and a get of 1 KiB at a given concurrency, against an S3 in another process. */
export async function benchConcurrentPuts(
  variant: S3Variant,
  counts: readonly number[],
  total: number,
  rounds: number,
  show: (table: Table) => void,
): Promise<void> {
  const body = randomBytes(kibibyte);
  await withServer(variant.server, async (ready) => {
    const { s3, onThread, withWorkers } = clientsOf(variant, ready.s3Config);
    const object = (index: number) => ({ Bucket: bucket, Key: `small-${index % 64}` });
    const pairs: Record<string, (index: number) => Promise<Uint8Array | undefined>> = {
      "plain PutObject and GetObject": async (index) => {
        await s3.send(new PutObjectCommand({ ...object(index), Body: body }));
        return (await s3.send(new GetObjectCommand(object(index)))).Body?.transformToByteArray();
      },
      "envelope.put and get, with workers": async (index) => {
        await withWorkers.put({ ...object(index), Body: body });
        return (await withWorkers.get(object(index))).Body.transformToByteArray();
      },
      "envelope.put and get, on one thread": async (index) => {
        await onThread.put({ ...object(index), Body: body });
        return (await onThread.get(object(index))).Body.transformToByteArray();
      },
    };
    for (const [name, pair] of Object.entries(pairs)) {
      const got = await pair(0);
      if (!got || !body.equals(got)) throw new Error(`${name}: the output is wrong: nothing is timed`);
    }
    for (const count of counts) {
      const cases = Object.entries(pairs).map(
        ([name, pair]): Case => ({ name, run: () => rateOf(total, () => atOnce(count, total, pair)) }),
      );
      const series = await measure(rounds, cases);
      const head = {
        id: `small-puts-${count}${variant.suffix}`,
        title: `put and get of ${formatBytes(body.length)}, ${count} at once, ${variant.title}`,
        unit: "pairs/s",
        better: "higher",
      } as const;
      show(tableOf(head, series));
    }
    s3.destroy();
  });
}

/** Runs a task a number of times with bounded concurrency. */
async function atOnce(count: number, total: number, run: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < total) await run(next++);
  };
  await Promise.all(Array.from({ length: count }, one));
}
