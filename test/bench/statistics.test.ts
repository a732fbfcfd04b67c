import { describe, expect, it } from "vitest";
import { interleave, tableOf } from "../../bench/measure.js";
import { overlap, percentile, summarize } from "../../bench/statistics.js";

describe("summarize", () => {
  it.each([
    [[3], { samples: [3], median: 3, min: 3, max: 3 }],
    [[5, 1, 3], { samples: [5, 1, 3], median: 3, min: 1, max: 5 }],
    [[4, 1, 2, 10], { samples: [4, 1, 2, 10], median: 3, min: 1, max: 10 }],
  ])("of %j", (samples, expected) => expect(summarize(samples)).toEqual(expected));

  it.each([
    [[], "samples: expected at least one"],
    [[1, Number.NaN], "samples: expected finite numbers"],
  ])("refuses %j", (samples, message) => expect(() => summarize(samples)).toThrow(new RangeError(message)));
});

it("percentile lies between its neighbours", () => {
  const numbers = Array.from({ length: 101 }, (_, index) => index * 2);
  expect([0, 50, 99, 100].map((percent) => percentile(numbers, percent))).toEqual([0, 100, 198, 200]);
  expect(percentile([1, 2], 75)).toBe(1.75);
});

it.each([
  [[1, 2], [2, 3], true],
  [[1, 4], [2, 3], true],
  [[1, 2], [3, 4], false],
  [[3, 4], [1, 2], false],
])("the spreads of %j and %j overlap: %s", (left, right, expected) => {
  expect(overlap(summarize(left), summarize(right))).toBe(expected);
});

it("rounds take all cases in turn, forth and back, and a case may leave early", async () => {
  const order: string[] = [];
  const one = (name: string, rounds?: number) => ({
    name,
    ...(rounds === undefined ? {} : { rounds }),
    run: async () => order.push(name),
  });
  const samples = await interleave(3, [one("a"), one("b"), one("c", 1)]);
  expect(order.join("")).toBe("abcbaab");
  expect(samples).toEqual([[1, 5, 6], [2, 4, 7], [3]]);
});

it("a table has ratios to its first row, and figures for the aims whose rows are there", () => {
  const head = { id: "t", title: "title", unit: "ms", better: "lower" } as const;
  const table = tableOf(head, [
    { name: "base", samples: [2, 4, 3] },
    {
      name: "other",
      samples: [6],
      note: "half",
      aims: [
        { kind: "ratio", to: "base", aim: "<= 2x" },
        { kind: "difference", to: "base", aim: "< 5 ms" },
        { kind: "itself", aim: "< 7 ms" },
        { kind: "ratio", to: "nobody", aim: "1x" },
      ],
    },
  ]);
  expect(table).toEqual({
    ...head,
    rows: [
      { name: "base", samples: [2, 4, 3], median: 3, min: 2, max: 4, ratio: 1, goals: [] },
      {
        name: "other",
        samples: [6],
        median: 6,
        min: 6,
        max: 6,
        ratio: 2,
        note: "half",
        goals: [
          { name: "of base", value: 2, unit: "x", aim: "<= 2x" },
          { name: "above base", value: 3, unit: "ms", aim: "< 5 ms" },
          { name: "itself", value: 6, unit: "ms", aim: "< 7 ms" },
        ],
      },
    ],
  });
});
