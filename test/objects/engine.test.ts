/** An EnvelopeClient with workers; the other files test it without them. */
import { describe, expect, it } from "vitest";
import { poolOf } from "../../src/cobblestone/engine/engine.js";
import { chunkOffset } from "../../src/cobblestone/layout.js";
import { EnvelopeClient } from "../../src/index.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../support/bytes.js";
import { useEngines, workerOf } from "../support/engines.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, s3PartBytes as partBytes, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const { startedEngine } = useEngines();
const Key = "large";
const plaintext = testBytes(2 * partBytes + 1_000_000);
const source = () => streamOf(cut(plaintext, 65_536));

async function setUp(workerUrl?: URL) {
  const engine = await startedEngine(workerUrl && { workerUrl });
  return { engine, client: local.clientWith({ engine, partSizeBytes: partBytes }) };
}

describe("a client with workers", () => {
  it("a client with workers writes and reads large objects, whole and in ranges", async () => {
    const { client, engine } = await setUp();
    await client.put({ Bucket, Key, Body: source() });
    const whole = await client.get({ Bucket, Key });
    expect(whole.ContentLength).toBe(plaintext.length);
    expectBytes(await collect(whole.Body), plaintext);
    const range = await client.get({ Bucket, Key, Range: "bytes=1000000-7000000" });
    expectBytes(await collect(range.Body), plaintext.subarray(1_000_000, 7_000_001));
    expectBytes(await collect((await local.client.get({ Bucket, Key })).Body), plaintext);
    expect(poolOf(engine).pendingBatches).toBe(0);
  });

  it("a client with workers releases no byte of a chunk that was altered in S3", async () => {
    const { client } = await setUp();
    await client.put({ Bucket, Key, Body: source() });
    const { bytes, metadata } = await local.getRaw(Key);
    bytes.writeUInt8(bytes.readUInt8(chunkOffset(300)) ^ 1, chunkOffset(300));
    await local.putRaw(Key, bytes, metadata);
    const { released, error } = await collectUntilError((await client.get({ Bucket, Key })).Body);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(released.length).toBeLessThanOrEqual(300 * 16_384);
    expectBytes(released, plaintext.subarray(0, released.length));
  });

  it("a put that is aborted leaves nothing in S3 and no work for the workers", async () => {
    const { client, engine } = await setUp();
    const controller = new AbortController();
    const reason = new Error("enough");
    const Body = streamOf(
      (function* () {
        for (let piece = 0; ; piece++) {
          if (piece === 150) controller.abort(reason);
          yield plaintext.subarray(0, 65_536);
        }
      })(),
    );
    const put = client.put({ Bucket, Key: "aborted", Body }, { abortSignal: controller.signal });
    expect(await errorOf(() => put)).toBe(reason);
    await expect.poll(() => poolOf(engine).pendingBatches).toBe(0);
    const { keys, uploads } = await local.contents();
    expect([keys.includes("aborted"), uploads]).toEqual([false, []]);
  });

  it("a get that is aborted or destroyed leaves no work for the workers and no connection", async () => {
    const { client, engine } = await setUp();
    await client.put({ Bucket, Key, Body: source() });
    const controller = new AbortController();
    const { Body } = await client.get({ Bucket, Key }, { abortSignal: controller.signal });
    const reason = new Error("enough");
    const reading = (async () => {
      for await (const _ of Body) controller.abort(reason);
    })();
    expect(await errorOf(() => reading)).toBe(reason);
    (await client.get({ Bucket, Key })).Body.destroy();
    await expect.poll(() => poolOf(engine).pendingBatches).toBe(0);
  });

  it("a put fails when a worker ends, and leaves nothing in S3", async () => {
    const code = `let left = 5;
      parentPort.on("message", ({ buffer }) =>
        left-- > 0 ? parentPort.postMessage({ buffer, verified: true }, [buffer]) : process.exit(3));`;
    const { client } = await setUp(workerOf(code));
    const error = await errorOf(() => client.put({ Bucket, Key: "failed", Body: source() }));
    expect(error).toEqual(coded("WORKER_FAILED"));
    expect(error).toMatchObject({ retryable: true, cause: new Error("it exited with 3") });
    const { keys, uploads } = await local.contents();
    expect([keys.includes("failed"), uploads]).toEqual([false, []]);
  });
});

it("an EnvelopeClient refuses an engine that is no CryptoEngine", () => {
  const make = () => new EnvelopeClient({ s3: local.s3, keyring, engine: "fast" as never });
  expect(make).toThrow(new TypeError("options.engine: expected a CryptoEngine, got a string"));
});

async function* streamOf(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    await new Promise(setImmediate);
    yield piece;
  }
}
