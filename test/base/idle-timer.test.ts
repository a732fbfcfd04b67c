import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { afterEach, expect, it, vi } from "vitest";
import { startIdleTimer } from "../../src/base/idle-timer.js";
import { CoalescedReads } from "../../src/s3/body/coalesced-reads.js";
import { collectInto } from "../../src/s3/body/collect-into.js";
import { guardSource } from "../../src/source/guarded-source.js";
import { testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";

const { signal } = new AbortController();
const stalled = () => new Error("stalled");
const failed = (_: unknown, cause?: unknown) => new Error("failed", { cause });
const guard = { signal, idleTimeoutMs: 1000, stalled, failed };
const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
};

/** Timers and a clock that the test controls. */
function fakeTime() {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
}
afterEach(() => {
  vi.useRealTimers();
});

/**
 * Resumes after a simulated pause of the process: the timer is due at once, and the event loop reads the bytes that arrived
 * meanwhile only after it.
 */
function resumeAfter(pausedMs: number, pending: () => void): void {
  setImmediate(pending);
  vi.advanceTimersByTime(pausedMs);
}

it.each([
  ["that became due during the pause", 3_600_000],
  ["that becomes due at the end of the pause", 1000],
])(
  "after a pause of the process, a timer %s fires only after available bytes were read from a guarded source",
  async (_, pausedMs) => {
    fakeTime();
    const emitter = new EventEmitter();
    async function* source() {
      yield (await new Promise<Buffer>((resolve) => emitter.once("bytes", resolve))) as Buffer;
    }
    const read = guardSource(source(), guard).next();
    await turns(2);
    resumeAfter(pausedMs, () => emitter.emit("bytes", testBytes(3)));
    expect((await read).value).toEqual(testBytes(3));
  },
);

it.each([1000, 3_600_000])(
  "after a pause of the process, a timer fires only after available bytes were read from CoalescedReads (%i ms)",
  async (pausedMs) => {
    fakeTime();
    const stream = new PassThrough();
    const read = guardSource(new CoalescedReads(stream), guard).next();
    await turns(2);
    resumeAfter(pausedMs, () => stream.write(testBytes(3)));
    expect((await read).value).toEqual(testBytes(3));
  },
);

it.each([1000, 3_600_000])(
  "after a pause of the process, a timer fires only after available bytes were collected (%i ms)",
  async (pausedMs) => {
    fakeTime();
    const stream = new PassThrough();
    const target = Buffer.alloc(3);
    const read = collectInto(stream, [target], { ...guard, stalled, failed });
    await turns(2);
    resumeAfter(pausedMs, () => stream.end(testBytes(3)));
    expect(await read).toBe(3);
    expect(target).toEqual(testBytes(3));
  },
);

it("after a pause of the process, a late empty piece is not silence if bytes follow it", async () => {
  fakeTime();
  let reads = 0;
  async function* source() {
    reads += 1;
    vi.advanceTimersByTime(3_600_000);
    yield new Uint8Array(0);
    await turns(1);
    yield testBytes(3);
  }
  expect((await guardSource(source(), guard).next()).value).toEqual(testBytes(3));
  expect(reads).toBe(1);
});

it("a silent source is reported as soon as its time has passed", async () => {
  fakeTime();
  const read = errorOf(() => guardSource(new CoalescedReads(new PassThrough()), guard).next());
  await turns(2);
  vi.advanceTimersByTime(999);
  await turns(5);
  vi.advanceTimersByTime(1);
  expect((await read).message).toBe("stalled");
});

it("a source that stays silent after a pause is reported when its time has passed once more", async () => {
  fakeTime();
  const onIdle = vi.fn();
  startIdleTimer(1000, onIdle);
  // The timer fires late, as after a pause.
  vi.setSystemTime(0);
  const later = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 3_600_000);
  vi.advanceTimersByTime(1000);
  await turns(5);
  expect(onIdle).not.toHaveBeenCalled();
  later.mockRestore();
  vi.advanceTimersByTime(1000);
  await turns(5);
  expect(onIdle).toHaveBeenCalledTimes(1);
});

it("a refreshed timer starts again, and a stopped timer does not fire", async () => {
  fakeTime();
  const onIdle = vi.fn();
  const timer = startIdleTimer(1000, onIdle, 400);
  vi.advanceTimersByTime(399);
  timer.refresh();
  vi.advanceTimersByTime(999);
  await turns(5);
  expect(onIdle).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  timer.refresh();
  await turns(5);
  expect(onIdle).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  timer.stop();
  await turns(5);
  expect(onIdle).not.toHaveBeenCalled();
});
