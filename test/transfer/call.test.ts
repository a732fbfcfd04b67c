import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { linkedSignal, untilAborted } from "../../src/base/abort.js";
import { EnvelopeError } from "../../src/base/errors.js";
import { fieldNames } from "../../src/fields/field-names.js";
import {
  type Call,
  type CheckedCallOptions,
  callOptions,
  iterateCall,
  type OpenCall,
  openCall,
  withCall,
  withLeftover,
} from "../../src/transfer/call.js";
import { MemoryBudget } from "../../src/transfer/memory-budget.js";
import type { TransferProgress } from "../../src/transfer/progress.js";
import { errorOf } from "../support/errors.js";

const reason = new Error("enough");
const target = { operation: "put", bucket: "bucket", key: "key" } as const;
const none: CheckedCallOptions = { abortSignal: undefined, onProgress: undefined };
const failed = () => new EnvelopeError("DECRYPTION_FAILED", "no");

describe("callOptions", () => {
  it("callOptions accepts the options in the list of the call, and no others", () => {
    const { signal } = new AbortController();
    expect(callOptions(fieldNames.head.options, { abortSignal: signal })).toEqual({
      ...none,
      abortSignal: signal,
    });
    expect(() => callOptions(fieldNames.head.options, { onProgress: () => undefined })).toThrow(TypeError);
    expect(() => callOptions(fieldNames.put.options, { abortsignal: signal })).toThrow("abortSignal");
  });

  it("callOptions rejects values of other types and names the option", () => {
    expect(() => callOptions(fieldNames.put.options, { abortSignal: {} })).toThrow("options.abortSignal");
    expect(() => callOptions(fieldNames.put.options, { onProgress: 1 })).toThrow("options.onProgress");
  });
});

describe("withCall", () => {
  it("withCall does not run a call whose signal was aborted before", async () => {
    const aborted = { ...none, abortSignal: AbortSignal.abort(reason) };
    const began: Call[] = [];
    const error = await errorOf(() => withCall(target, aborted, async (call) => void began.push(call)));
    expect([error, began]).toEqual([reason, []]);
  });

  it("the signal of a call aborts with the reason of the caller", async () => {
    const caller = new AbortController();
    const call = withCall(target, { ...none, abortSignal: caller.signal }, ({ signal }) =>
      untilAborted(signal, new Promise<never>(() => undefined)),
    );
    caller.abort(reason);
    expect(await errorOf(() => call)).toBe(reason);
  });

  it("the signal of a call aborts with its first failure, and keeps the first reason", async () => {
    let signal: AbortSignal | undefined;
    await errorOf(() =>
      withCall(target, none, async (call) => {
        signal = call.signal;
        throw reason;
      }),
    );
    expect(signal?.reason).toBe(reason);
    await errorOf(() =>
      withCall(target, none, async (call) => {
        signal = call.signal;
        call.abort(reason);
        throw new Error("later");
      }),
    );
    expect(signal?.reason).toBe(reason);
  });

  it("a call that succeeds does not abort its signal, and removes its listener from the signal of the caller", async () => {
    const { signal: abortSignal } = new AbortController();
    const signal = await withCall(target, { ...none, abortSignal }, async (call) => {
      expect(getEventListeners(abortSignal, "abort")).toHaveLength(1);
      return call.signal;
    });
    expect(signal.aborted).toBe(false);
    expect(getEventListeners(abortSignal, "abort")).toEqual([]);
  });

  it("the errors of a call name its object, unless they name the object of a request", async () => {
    const part = { ...target, partNumber: 3 };
    const named = await errorOf(() => withCall(part, none, () => Promise.reject(failed())));
    expect(named).toMatchObject({ details: { bucket: "bucket", key: "key", partNumber: 3 } });
    const sidecar = new EnvelopeError("S3_NOT_FOUND", "no", {
      details: { bucket: "bucket", key: "sidecar" },
    });
    expect(await errorOf(() => withCall(target, none, () => Promise.reject(sidecar)))).toBe(sidecar);
  });

  it("a call changes neither the reason of the caller nor an error of a class of the caller", async () => {
    const own = failed();
    const caller = new AbortController();
    const error = await errorOf(() =>
      withCall(target, { ...none, abortSignal: caller.signal }, async (call) => {
        caller.abort(own);
        throw withLeftover(call.signal.reason, call, {
          details: { orphanedUploadId: "1" },
          advice: "abort it",
        });
      }),
    );
    expect(error).toBe(own);
    class CallersError extends EnvelopeError {}
    const other = new CallersError("SOURCE_FAILED", "no");
    expect(await errorOf(() => withCall(target, none, () => Promise.reject(other)))).toBe(other);
  });

  it("withLeftover adds advice to the message and a key to the details of an error", async () => {
    const cause = new Error("cause");
    const error = await errorOf(() =>
      withCall(target, none, async (call) => {
        const failure = new EnvelopeError("S3_UNAVAILABLE", "it failed", { cause });
        throw withLeftover(failure, call, { details: { orphanedUploadId: "1" }, advice: "Abort it" });
      }),
    );
    expect(error).toMatchObject({
      code: "S3_UNAVAILABLE",
      message: "it failed. Abort it",
      cause,
      details: { orphanedUploadId: "1", key: "key" },
    });
  });

  it.each(["succeeds", "fails"])("a call releases its memory when it %s", async (how) => {
    const budget = new MemoryBudget(10);
    const act = async (call: Call) => {
      const lease = await budget.acquire(call, 8, call.signal);
      lease.split(3);
      budget.tryAcquireForPrefetch(call, 2);
      (await budget.acquire({}, 0, call.signal)).release(Buffer.alloc(0));
      if (how === "fails") throw reason;
    };
    await withCall({ ...target, budget }, none, act).catch(() => undefined);
    expect([budget.heldBytes, budget.idleBytes, budget.hasWaiting]).toEqual([0, 0, false]);
  });

  it("a call reports progress with its operation and object", async () => {
    const seen: TransferProgress[] = [];
    await withCall(target, { ...none, onProgress: (progress) => seen.push(progress) }, async ({ meter }) =>
      meter.end(3, 1),
    );
    expect(seen).toMatchObject([{ operation: "put", Bucket: "bucket", Key: "key", bytes: 3, parts: 1 }]);
  });
});

describe("openCall", () => {
  const begin = (abortSignal: AbortSignal | undefined, budget?: MemoryBudget): Promise<OpenCall> =>
    openCall({ ...target, budget }, { ...none, abortSignal }, async (call) => call);

  it("an open call ends when its result has been read, without an abort", async () => {
    const budget = new MemoryBudget(10);
    const caller = new AbortController();
    const call = await begin(caller.signal, budget);
    await budget.acquire(call, 8, call.signal);
    expect([budget.heldBytes, getEventListeners(caller.signal, "abort").length]).toEqual([8, 1]);
    call.end();
    expect([budget.heldBytes, getEventListeners(caller.signal, "abort").length]).toEqual([0, 0]);
    call.close();
    caller.abort(reason);
    expect(call.signal.reason).not.toBe(reason);
  });

  it("an open call that is closed aborts its requests", async () => {
    const call = await begin(undefined);
    expect(call.signal.aborted).toBe(false);
    call.close();
    expect(call.signal.aborted).toBe(true);
  });

  it("an open call names its object, and the range of it, in errors of its result", async () => {
    const call = await begin(undefined);
    expect(call.named(failed(), "bytes=0-9")).toMatchObject({ details: { key: "key", range: "bytes=0-9" } });
  });

  it("an open call ends when its function fails", async () => {
    const caller = new AbortController();
    const error = await errorOf(() =>
      openCall(target, { ...none, abortSignal: caller.signal }, () => Promise.reject(reason)),
    );
    expect([error, getEventListeners(caller.signal, "abort")]).toEqual([reason, []]);
  });
});

describe("iterateCall", () => {
  it("an iterated call ends with the iteration and names its object in errors", async () => {
    const caller = new AbortController();
    const all = iterateCall(target, { ...none, abortSignal: caller.signal }, async function* () {
      yield 1;
      throw failed();
    });
    expect((await all.next()).value).toBe(1);
    expect(await errorOf(() => all.next())).toMatchObject({ details: { bucket: "bucket", key: "key" } });
    expect(getEventListeners(caller.signal, "abort")).toEqual([]);
  });
});

describe("linkedSignal", () => {
  it("linkedSignal has no listener left once the promise that waited for it has settled", async () => {
    const { signal } = linkedSignal(undefined);
    expect(await untilAborted(signal, Promise.resolve(1))).toBe(1);
    expect(await errorOf(() => untilAborted(signal, Promise.reject(reason)))).toBe(reason);
    await new Promise(setImmediate);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("linkedSignal is aborted from the beginning if the other signal was", async () => {
    const { signal } = linkedSignal(AbortSignal.abort(reason));
    expect(await errorOf(() => untilAborted(signal, new Promise<never>(() => undefined)))).toBe(reason);
  });
});
