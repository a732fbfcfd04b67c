/** A small file of results. */
import type { Results } from "../../bench/results.js";

/** Two rows; the second one's median is `median`, spread 0.1 to both sides. */
export function smallResults(median: number): Results {
  return {
    schema: 1,
    date: "2026-11-24T12:00:00.000Z",
    machine: { cpu: "A & B", cores: 2, memoryGiB: 8, platform: "linux x64" },
    node: "20.1.0",
    openssl: "3.0.1",
    commit: "abc",
    settings: { quick: false },
    tables: [
      {
        id: "encrypt-1-GiB",
        title: "encrypt 1 GiB",
        unit: "GB/s",
        better: "higher",
        rows: [
          { name: "plain", samples: [2], median: 2, min: 2, max: 2, ratio: 1, goals: [] },
          {
            name: "pipeline, s3-envelope",
            samples: [median - 0.1, median, median + 0.1],
            median,
            min: median - 0.1,
            max: median + 0.1,
            ratio: median / 2,
            goals: [{ name: "of plain", value: median / 2, unit: "x", aim: ">= 0.5x" }],
            note: "1 x 8 MiB",
          },
        ],
      },
    ],
  };
}
