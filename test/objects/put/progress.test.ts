/** The progress that a put reports, and a listener that throws. */
import { describe, expect, it } from "vitest";
import { CryptoEngine, EnvelopeClient, type EnvelopeClientOptions } from "../../../src/index.js";
import { testBytes } from "../../support/bytes.js";
import { errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../../support/local.js";
import { until } from "../../support/until.js";

const local = useLocalAws();
const onThread = new CryptoEngine({ maxWorkers: 0 });
const large = testBytes(3 * partBytes, 5);

/** A source that records whether it was closed. */
function sourceOf(bytes: Uint8Array) {
  const source = {
    isClosed: false,
    async *[Symbol.asyncIterator]() {
      try {
        for (let start = 0; start < bytes.length; start += 65_536)
          yield bytes.subarray(start, start + 65_536);
      } finally {
        source.isClosed = true;
      }
    },
  };
  return source;
}

describe("progress of a put", () => {
  const told = async (Body: never, options: Partial<EnvelopeClientOptions> = {}) => {
    const events: object[] = [];
    const client = new EnvelopeClient({
      s3: local.s3,
      keyring,
      partSizeBytes: partBytes,
      engine: onThread,
      ...options,
    });
    await client.put({ Bucket, Key: "told", Body }, { onProgress: (progress) => void events.push(progress) });
    return events;
  };

  it.each([
    ["a small body", () => testBytes(10), 10, 1],
    ["an empty body", () => "", 0, 1],
    ["one part", () => sourceOf(testBytes(100_000)), 100_000, 1],
    ["parts", () => large, large.length, 4],
    ["parts of a stream", () => sourceOf(large), large.length, 4],
  ])("the progress of a put of %s ends with all bytes", async (_, body, bytes, parts) => {
    const events = await told(body() as never);
    const totals = { totalBytes: bytes, totalParts: parts };
    expect(events.at(-1)).toMatchObject({
      operation: "put",
      Bucket,
      Key: "told",
      bytes,
      parts,
      ...totals,
      secondsLeft: 0,
    });
    if (parts === 1) expect(events).toHaveLength(1);
  });

  it("the progress of a put of known length has the totals from the start", async () => {
    const oneByOne = { maxConcurrentParts: 1 };
    const chunked = partBytes - 56;
    // All bytes of whole chunks, and those of the next one: its tag, which does not count, is at its end.
    const bytes = Math.floor(chunked / 16_400) * 16_384 + (chunked % 16_400);
    const [first] = await told(large as never, oneByOne);
    expect(first).toMatchObject({ parts: 1, bytes, totalBytes: large.length, totalParts: 4 });
    const [unknown] = await told(sourceOf(large) as never, oneByOne);
    expect(unknown).toMatchObject({ parts: 1, bytes, totalBytes: undefined, totalParts: undefined });
  });

  it("a progress listener that throws ends the put, which leaves nothing behind", async () => {
    const failure = new Error("listener");
    const Body = sourceOf(large);
    const onProgress = () => {
      throw failure;
    };
    const call = local.client.put({ Bucket, Key: "never", Body }, { onProgress });
    expect(await errorOf(() => call)).toBe(failure);
    const { keys, uploads } = await local.contents();
    expect([keys.includes("never"), uploads]).toEqual([false, []]);
    await until(() => expect(Body.isClosed).toBe(true));
  });

  it("a progress listener that is no function is refused before any request", async () => {
    const call = local.client.put({ Bucket, Key: "k", Body: "x" }, { onProgress: 5 as never });
    expect(await errorOf(() => call)).toEqual(
      new TypeError("options.onProgress: expected a function, got the number 5"),
    );
    expect(local.operations()).toEqual([]);
  });
});

it("only operations that transfer a body accept a progress listener", async () => {
  const { client } = local;
  await client.put({ Bucket, Key: "typed", Body: "x" }, { onProgress: () => undefined });
  const given = { onProgress: () => undefined };
  const message = /^options\.onProgress: \w+ has no such option/;
  // @ts-expect-error: a HEAD has no progress
  expect((await errorOf(() => client.head({ Bucket, Key: "typed" }, given))).message).toMatch(message);
  // @ts-expect-error: nor has a DELETE
  expect((await errorOf(() => client.delete({ Bucket, Key: "typed" }, given))).message).toMatch(message);
});
