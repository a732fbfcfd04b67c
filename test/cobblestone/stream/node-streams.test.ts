import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, expect, it } from "vitest";
import {
  decryptDuplex,
  decryptTransformStream,
  encryptDuplex,
  encryptTransformStream,
} from "../../../src/cobblestone/stream/node-streams.js";
import { collect, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded } from "../../support/errors.js";

const dataKey = testBytes(32, 3);
const context = Buffer.from("ctx");
const options = { dataKey, context };
const web = (bytes: Uint8Array) => new Blob([Uint8Array.from(bytes)]).stream() as ReadableStream<Uint8Array>;

describe("Node streams", () => {
  it.each([0, 1, 16_384, 200_001])("encrypt and decrypt %i bytes", async (length) => {
    const plaintext = testBytes(length);
    const out = new PassThrough();
    const result = collect(out);
    const source = Readable.from(cut(plaintext, 7_000), { objectMode: false });
    await pipeline(source, encryptDuplex(options), decryptDuplex(options), out);
    expectBytes(await result, plaintext);
  });

  it("fail with the coded error of decrypt", async () => {
    const sealed = await collect(encryptDuplex(options).end(testBytes(20_000)));
    const run = pipeline([sealed.subarray(0, 18_000)], decryptDuplex(options), new PassThrough().resume());
    await expect(run).rejects.toEqual(coded("DECRYPTION_FAILED"));
  });

  it.each([
    ["encryptDuplex", encryptDuplex],
    ["decryptDuplex", decryptDuplex],
  ])("of %s end with the streams that they are piped to and from", async (_, make) => {
    const reason = new Error("gone");
    const waiting = () => new PassThrough();
    const source = waiting();
    const fromFailing = pipeline(source, make(options), waiting().resume());
    setImmediate(() => source.destroy(reason));
    await expect(fromFailing).rejects.toBe(reason);
    const sink = waiting();
    const toFailing = pipeline(waiting(), make(options), sink);
    setImmediate(() => sink.destroy(reason));
    await expect(toFailing).rejects.toBe(reason);
    const controller = new AbortController();
    const aborted = pipeline(waiting(), make(options), waiting().resume(), { signal: controller.signal });
    setImmediate(() => controller.abort());
    await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
    const stream = make(options);
    const closed = new Promise((resolve) => stream.once("close", resolve));
    stream.resume();
    setImmediate(() => stream.destroy());
    await closed;
  });

  it("refuse wrong options at once", () => {
    expect(() => encryptDuplex({ dataKey: Buffer.alloc(5) })).toThrow(RangeError);
    expect(() => decryptDuplex({ dataKey: Buffer.alloc(5) })).toThrow(RangeError);
  });
});

describe("web streams", () => {
  it.each([0, 1, 16_384, 200_001])("encrypt and decrypt %i bytes", async (length) => {
    const plaintext = testBytes(length);
    const stream = web(plaintext)
      .pipeThrough(encryptTransformStream(options))
      .pipeThrough(decryptTransformStream(options));
    expectBytes(await collect(stream), plaintext);
  });

  it("fail with the coded error of decrypt", async () => {
    const sealed = await collect(web(testBytes(20_000)).pipeThrough(encryptTransformStream(options)));
    const truncated = web(sealed.subarray(0, 60)).pipeThrough(decryptTransformStream(options));
    await expect(collect(truncated)).rejects.toEqual(coded("BODY_TRUNCATED"));
  });

  it("make a different message each time", async () => {
    const seal = () => collect(web(Buffer.from("same")).pipeThrough(encryptTransformStream(options)));
    const [first, second] = [await seal(), await seal()];
    expect(first.subarray(0, 24)).not.toEqual(second.subarray(0, 24));
    expect(first.subarray(56)).not.toEqual(second.subarray(56));
  });

  it("refuse pieces that are not bytes", async () => {
    const { readable, writable } = encryptTransformStream(options);
    const written = writable.getWriter().write("text" as unknown as Uint8Array);
    await expect(Promise.all([collect(readable), written])).rejects.toThrow(
      "chunk: expected a Uint8Array, got a string",
    );
  });

  it("refuse wrong options at once", () => {
    expect(() => encryptTransformStream({ dataKey: Buffer.alloc(5) })).toThrow(RangeError);
    expect(() => decryptTransformStream({ dataKey: Buffer.alloc(5) })).toThrow(RangeError);
  });
});
