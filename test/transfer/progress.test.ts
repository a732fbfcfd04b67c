import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ProgressMeter, progressArgument, type TransferProgress } from "../../src/transfer/progress.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());
const pass = (milliseconds: number) => vi.advanceTimersByTime(milliseconds);

function meterOf() {
  const told: TransferProgress[] = [];
  const meter = new ProgressMeter({ operation: "put", Bucket: "b", Key: "k" }, (progress) => {
    told.push(progress);
  });
  return { meter, told };
}

it("progress is reported at once, then at most ten times a second, and always at the end", () => {
  const { meter, told } = meterOf();
  for (let step = 0; step < 100; step++) {
    meter.add(10);
    pass(5);
  }
  expect(told.map(({ bytes }) => bytes)).toEqual([10, 210, 410, 610, 810]);
  meter.end();
  meter.end(5, 1);
  expect(told.slice(5).map(({ bytes, parts }) => [bytes, parts])).toEqual([
    [1000, 0],
    [1005, 1],
  ]);
});

it("progress has all fields, with rate and remaining time", () => {
  const { meter, told } = meterOf();
  meter.totalBytes = 1000;
  meter.totalParts = 4;
  pass(500);
  meter.add(250, 1);
  expect(told).toEqual([
    {
      operation: "put",
      Bucket: "b",
      Key: "k",
      bytes: 250,
      totalBytes: 1000,
      parts: 1,
      totalParts: 4,
      bytesPerSecond: 500,
      secondsLeft: 1.5,
    },
  ]);
});

it("the rate does not count bytes of an earlier call", () => {
  const { meter, told } = meterOf();
  meter.totalBytes = 1000;
  meter.resume(600, 3);
  expect(told[0]).toMatchObject({ bytes: 600, parts: 3, bytesPerSecond: 0, secondsLeft: undefined });
  pass(1000);
  meter.add(100, 1);
  expect(told[1]).toMatchObject({ bytes: 700, parts: 4, bytesPerSecond: 100, secondsLeft: 3 });
});

it("the remaining time is undefined without a total, and 0 at the end", () => {
  const { meter, told } = meterOf();
  pass(100);
  meter.add(10);
  expect(told[0]).toMatchObject({ totalBytes: undefined, totalParts: undefined, secondsLeft: undefined });
  meter.totalBytes = 10;
  meter.end();
  expect(told[1]?.secondsLeft).toBe(0);
});

it("a transfer that ends at the moment it begins has a rate of 0", () => {
  const { meter, told } = meterOf();
  meter.totalBytes = 0;
  meter.end();
  expect(told[0]).toMatchObject({ bytes: 0, bytesPerSecond: 0, secondsLeft: 0 });
});

it("the meter throws the error of its listener, and works without a listener", () => {
  const failure = new Error("listener");
  const meter = new ProgressMeter({ operation: "get", Bucket: "b", Key: "k" }, () => {
    throw failure;
  });
  expect(() => meter.add(1)).toThrow(failure);
  expect(() => meter.end()).toThrow(failure);
  const silent = new ProgressMeter({ operation: "get", Bucket: "b", Key: "k" }, undefined);
  silent.add(1);
  silent.end();
});

it("a listener that is no function is refused", () => {
  expect(progressArgument(undefined)).toBeUndefined();
  for (const value of [null, 5, "x", {}]) {
    expect(() => progressArgument(value)).toThrow(/^options.onProgress: expected a function, got /);
  }
});
