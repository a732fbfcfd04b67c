import { getEventListeners } from "node:events";
import { expect, it, vi } from "vitest";
import { limitedWait, linkedSignal, untilAborted, untilLimits } from "../../src/base/abort.js";
import { errorOf } from "../support/errors.js";

const never = new Promise<never>(() => undefined);
const stalled = () => new Error("stalled");

it("untilAborted settles like its promise and leaves no listener", async () => {
  const { signal } = new AbortController();
  expect(await untilAborted(signal, Promise.resolve(5))).toBe(5);
  const failure = new Error("failed");
  expect(await errorOf(() => untilAborted(signal, Promise.reject(failure)))).toBe(failure);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

it("untilAborted rejects with the reason of the signal, also of one that was aborted before", async () => {
  const reason = new Error("stop");
  const { signal, abort } = linkedSignal(undefined);
  const waits = [0, 1, 2].map(() => errorOf(() => untilAborted(signal, never)));
  // One listener for all of them.
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  abort(reason);
  expect(await Promise.all(waits)).toEqual([reason, reason, reason]);
  expect(await errorOf(() => untilAborted(signal, Promise.reject(new Error("late"))))).toBe(reason);
});

it("untilLimits rejects a wait that is idle for too long", async () => {
  const limits = { idleTimeoutMs: 1, stalled };
  expect(await errorOf(() => untilLimits(limits, never))).toEqual(new Error("stalled"));
  expect(await untilLimits({ ...limits, idleTimeoutMs: 0 }, Promise.resolve(1))).toBe(1);
});

it("limitedWait stops its work once, however the wait ends", async () => {
  const { signal, abort } = linkedSignal(undefined);
  let stops = 0;
  const stop = () => {
    stops += 1;
  };
  const atOnce = limitedWait<number>({ signal }, ({ resolve, reject }) => {
    resolve(1);
    reject(new Error("too late"));
    return stop;
  });
  expect([await atOnce, stops]).toEqual([1, 1]);
  const idle = errorOf(() => limitedWait({ signal, idleTimeoutMs: 1, stalled }, () => stop));
  expect([await idle, stops]).toEqual([new Error("stalled"), 2]);
  const waiting = errorOf(() => limitedWait({ signal }, () => stop));
  abort("stop");
  expect([await waiting, stops]).toEqual(["stop", 3]);
  const aborted = errorOf(() => limitedWait({ signal }, () => stop));
  expect([await aborted, stops]).toEqual(["stop", 4]);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

it("limitedWait stops its timer when its work throws at the start", async () => {
  vi.useFakeTimers();
  try {
    const failure = new Error("no start");
    const wait = limitedWait({ idleTimeoutMs: 60_000, stalled }, () => {
      throw failure;
    });
    expect(await errorOf(() => wait)).toBe(failure);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
