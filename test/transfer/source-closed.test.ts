/** A body that a put could not read to its end is closed, and is not accepted again as an empty one. */
import { createReadStream } from "node:fs";
import { expect, it, vi } from "vitest";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";

const local = useLocalAws();
const faults = [
  ["CreateMultipartUpload", 4],
  ["UploadPart", 4],
  ["UploadPart", 1],
] as const;
it.each(faults)(
  "put of a web stream cancels it when %s fails, with %i concurrent parts",
  async (operation, maxConcurrentParts) => {
    local.aws.fault({ operation, status: 403, code: "AccessDenied" });
    const cancel = vi.fn();
    const Body = new ReadableStream<Uint8Array>({ pull: (to) => to.enqueue(testBytes(1_000_000)), cancel });
    const call = local.clientWith({ maxConcurrentParts }).put({ Bucket, Key: "k", Body });
    expect(await errorOf(() => call)).toEqual(coded("S3_ACCESS_DENIED"));
    await until(() => expect(cancel).toHaveBeenCalledTimes(1));
  },
);
it.each(faults)(
  "put of an iterable closes it when %s fails, with %i concurrent parts",
  async (operation, maxConcurrentParts) => {
    local.aws.fault({ operation, status: 403, code: "AccessDenied" });
    const end = vi.fn();
    const next = async () => ({ done: false, value: testBytes(1_000_000) }) as const;
    const Body = { [Symbol.asyncIterator]: () => ({ next, return: end }) };
    const call = local.clientWith({ maxConcurrentParts }).put({ Bucket, Key: "k", Body });
    expect(await errorOf(() => call)).toEqual(coded("S3_ACCESS_DENIED"));
    await until(() => expect(end).toHaveBeenCalledTimes(1));
  },
);

it.each([
  ["stalls", { idleTimeoutMs: 50 }, undefined, "SOURCE_STALLED"],
  ["is waited for when the caller aborts", {}, 50, undefined],
] as const)("put of a web stream that %s cancels it", async (_, options, abortAfterMs, code) => {
  const cancel = vi.fn();
  const Body = new ReadableStream<Uint8Array>({ start: (to) => to.enqueue(testBytes(10)), cancel });
  const abortSignal = abortAfterMs === undefined ? undefined : AbortSignal.timeout(abortAfterMs);
  const error = await errorOf(() =>
    local.clientWith(options).put({ Bucket, Key: "k", Body }, { abortSignal }),
  );
  expect(error).toEqual(code === undefined ? abortSignal?.reason : coded(code));
  await until(() => expect(cancel).toHaveBeenCalledTimes(1));
});

it("put of a web stream releases it at the end", async () => {
  const Body = new Blob(["hello"]).stream() as ReadableStream<Uint8Array>;
  await local.client.put({ Bucket, Key: "web", Body });
  expect(Body.locked).toBe(false);
  await local.client.delete({ Bucket, Key: "web" });
});

it("a stream that fails while the keyring is called rejects the put and does not end the process", async () => {
  const Body = createReadStream("/no/such/file");
  const slow = {
    ...keyring,
    generateDataKey: async (input: Parameters<typeof keyring.generateDataKey>[0]) => {
      await until(() => expect(Body.errored).toMatchObject({ code: "ENOENT" }));
      return keyring.generateDataKey(input);
    },
  };
  const error = await errorOf(() => local.clientWith({ keyring: slow }).put({ Bucket, Key: "k", Body }));
  expect(error).toEqual(coded("SOURCE_FAILED"));
  expect(error.cause).toMatchObject({ code: "ENOENT" });
});

it.each([
  ["a generator", async () => generator()],
  ["a web stream", async () => new Blob(["x"]).stream()],
] as const)("%s is refused by a second put after a failure, as it would be stored empty", async (_, make) => {
  const Body = await make();
  local.aws.fault({ operation: "PutObject", status: 503, code: "SlowDown" });
  const put = () => local.client.put({ Bucket, Key: "again", Body });
  expect(await errorOf(put)).toEqual(coded("S3_UNAVAILABLE"));
  const second = await errorOf(put);
  expect(second).toBeInstanceOf(TypeError);
  expect(second.message).toContain("that an earlier call has read");
  expect(await local.contents()).toEqual({ keys: [], uploads: [] });
});

it("put refuses a web stream that has been read", async () => {
  const response = new Response("hello");
  const Body = response.body as ReadableStream<Uint8Array>;
  await response.text();
  const error = await errorOf(() => local.client.put({ Bucket, Key: "read", Body }));
  expect(error).toBeInstanceOf(TypeError);
});

async function* generator() {
  yield testBytes(10);
}
