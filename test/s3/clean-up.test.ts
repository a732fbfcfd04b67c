import type { S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cleanUp } from "../../src/s3/clean-up.js";
import { deleteObject, headObject } from "../../src/s3/requests.js";
import { errorOf } from "../support/errors.js";

const object = { Bucket: "b", Key: "k" };
const clientThat = (send: (command: unknown, options: { abortSignal?: AbortSignal }) => Promise<unknown>) =>
  ({ send }) as unknown as S3Client;
const never = () => new Promise<never>(() => undefined);
const remove = (s3: S3Client, caller?: AbortSignal) =>
  cleanUp((options) => deleteObject(s3, object, options), caller);

afterEach(() => vi.useRealTimers());

describe("cleanUp", () => {
  it.each([
    ["success", async () => ({}), true],
    ["an upload that is gone", async () => raise("NoSuchUpload"), true],
    ["any other failure", async () => raise("AccessDenied"), false],
  ])("returns whether nothing is left: %s", async (_, send, expected) => {
    expect(await remove(clientThat(send))).toBe(expected);
  });

  it("gives up after ten seconds, also on a client that ignores its signal", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const send = vi.fn(never);
    const done = remove(clientThat(send));
    await vi.advanceTimersByTimeAsync(9_999);
    const sentWith = (aborted: boolean) =>
      expect(send).toHaveBeenCalledWith(expect.anything(), {
        abortSignal: expect.objectContaining({ aborted }),
      });
    sentWith(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await done).toBe(false);
    sentWith(true);
  });

  it("leaves no timer behind, and ends with the caller", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    expect(await remove(clientThat(async () => ({})))).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(await remove(clientThat(never), AbortSignal.abort())).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a bounded request", () => {
  it("that gets no response within ten seconds fails with a retryable error", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const failed = errorOf(() => headObject(clientThat(never), object, { isBounded: true }));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await failed).toMatchObject({
      code: "S3_UNAVAILABLE",
      details: { operation: "HeadObject", bucket: "b", key: "k", serviceError: "TimeoutError" },
    });
  });

  it("rejects with the reason of the caller's signal", async () => {
    const caller = new AbortController();
    const failed = errorOf(() =>
      headObject(clientThat(never), object, { isBounded: true, signal: caller.signal }),
    );
    const reason = new Error("user went away");
    caller.abort(reason);
    expect(await failed).toBe(reason);
  });
});

function raise(name: string): never {
  throw Object.assign(new Error(name), { name });
}
