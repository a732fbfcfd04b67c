import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { untilAborted } from "../../src/base/abort.js";
import { transferSignal } from "../../src/transfer/call-signal.js";
import { errorOf } from "../support/errors.js";

const reason = new Error("enough");
const never = new Promise<never>(() => undefined);

describe("transferSignal", () => {
  it("keeps the first reason", () => {
    const transfer = transferSignal(undefined);
    transfer.abort(reason);
    transfer.abort(new Error("later"));
    expect(transfer.signal.reason).toBe(reason);
  });

  it("lets go of its own signal when what it waited for has settled", async () => {
    const transfer = transferSignal(undefined);
    expect(await untilAborted(transfer.signal, Promise.resolve(1))).toBe(1);
    expect(await errorOf(() => untilAborted(transfer.signal, Promise.reject(reason)))).toBe(reason);
    await new Promise(setImmediate);
    expect(getEventListeners(transfer.signal, "abort")).toEqual([]);
  });

  it("does not wait when it has been raised already", async () => {
    const transfer = transferSignal(AbortSignal.abort(reason));
    expect(await errorOf(() => untilAborted(transfer.signal, never))).toBe(reason);
  });
});
