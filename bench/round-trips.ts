/** How many small messages a second can be encrypted and decrypted again, one after the other. */
import { createHash, randomBytes } from "node:crypto";
import { formatBytes, kibibyte, nowhere, type Sink, sha256 } from "./bytes.js";
import { type Aim, type Case, measure, tableOf } from "./measure.js";
import { age, esdkBest, esdkDefault } from "./peers.js";
import type { Table } from "./results.js";
import {
  bareLoop,
  plainPipeline,
  threadIteration,
  type Way,
  webCryptoWhole,
  workersIteration,
} from "./ways.js";

const message = randomBytes(kibibyte);
const aims: readonly Aim[] = [{ kind: "itself", aim: ">= 20,000/s" }];

/** Round trips of 1 KiB a second; each run takes about so long. */
export async function benchRoundTrips(
  runMs: number,
  rounds: number,
  show: (table: Table) => void,
): Promise<void> {
  const ways = [
    bareLoop,
    threadIteration,
    workersIteration,
    plainPipeline,
    webCryptoWhole,
    esdkBest,
    esdkDefault,
    age,
  ];
  for (const way of ways) await check(way);
  const cases = ways.map(
    (way): Case => ({
      name: way.name,
      run: async () => {
        let trips = 0;
        const start = performance.now();
        while (performance.now() - start < runMs) {
          await roundTrip(way);
          trips++;
        }
        return (trips / (performance.now() - start)) * 1000;
      },
    }),
  );
  const measured = await measure(rounds, cases);
  const head = {
    id: "round-trips-1-KiB",
    title: `encrypt and decrypt ${formatBytes(message.length)}, one after the other`,
    unit: "/s",
    better: "higher",
  } as const;
  const series = measured.map((row) => ({
    ...row,
    aims: row.name === threadIteration.name ? aims : undefined,
  }));
  show(tableOf(head, series));
}

async function roundTrip(way: Way, sink: Sink = nowhere): Promise<void> {
  const sealed: Uint8Array[] = [];
  const open = await way.seal([message], (bytes) => sealed.push(bytes));
  await open([Buffer.concat(sealed)], sink);
}

async function check(way: Way): Promise<void> {
  const opened = createHash("sha256");
  await roundTrip(way, (bytes) => opened.update(bytes));
  if (opened.digest("hex") !== sha256([message]))
    throw new Error(`${way.name}: the output is wrong: nothing is timed`);
}
