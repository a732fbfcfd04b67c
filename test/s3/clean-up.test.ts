import { afterEach, describe, expect, it, vi } from "vitest";
import { EnvelopeError } from "../../src/index.js";
import { cleanUp, withLeftover } from "../../src/s3/clean-up.js";
import { transferSignal } from "../../src/transfer/call-signal.js";

const never = () => new Promise<never>(() => undefined);

afterEach(() => vi.useRealTimers());

describe("cleanUp", () => {
  it.each([
    ["success", async () => undefined, true],
    ["an upload that is gone", async () => raise("NoSuchUpload"), true],
    ["any other failure", async () => raise("AccessDenied"), false],
  ])("tells whether nothing is left: %s", async (_, send, expected) => {
    expect(await cleanUp(send)).toBe(expected);
  });

  it("gives up after ten seconds, also on what does not listen to its signal", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const send = vi.fn(never);
    const done = cleanUp(send);
    await vi.advanceTimersByTimeAsync(9_999);
    expect(send).toHaveBeenCalledWith({ abortSignal: expect.objectContaining({ aborted: false }) });
    await vi.advanceTimersByTimeAsync(1);
    expect(await done).toBe(false);
    expect(send).toHaveBeenCalledWith({ abortSignal: expect.objectContaining({ aborted: true }) });
  });

  it("leaves no timer behind, and ends with the caller", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await cleanUp(async () => undefined);
    expect(vi.getTimerCount()).toBe(0);
    expect(await cleanUp(never, AbortSignal.abort())).toBe(false);
  });
});

describe("withLeftover", () => {
  const leftover = { details: { orphanedUploadId: "id" }, advice: "Abort it" };

  it("keeps what the error says and adds to it", () => {
    const cause = new Error("cause");
    const error = new EnvelopeError("S3_UNAVAILABLE", "it failed", { cause, details: { key: "k" } });
    expect(withLeftover(error, transferSignal(undefined), leftover)).toMatchObject({
      code: "S3_UNAVAILABLE",
      message: "it failed. Abort it",
      cause,
      details: { key: "k", orphanedUploadId: "id" },
    });
  });

  it("leaves the reason of an aborted signal alone", () => {
    for (const reason of [
      new Error("user went away"),
      new EnvelopeError("S3_UNAVAILABLE", "of another call"),
    ]) {
      expect(withLeftover(reason, transferSignal(AbortSignal.abort(reason)), leftover)).toBe(reason);
    }
  });
});

function raise(name: string): never {
  throw Object.assign(new Error(name), { name });
}
