import { EventEmitter, on } from "node:events";
import { PassThrough, Readable, Writable } from "node:stream";
import { runInNewContext } from "node:vm";
import { describe, expect, it, vi } from "vitest";
import { decrypt, encrypt } from "../../src/index.js";
import { isAsyncSource, lockSource } from "../../src/source/locked-source.js";
import { bytesOf } from "../../src/source/shape.js";
import { collect, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { until } from "../support/until.js";

const dataKey = testBytes(32, 1);
const pieces = (source: object) => collect(lockSource("source", source) as AsyncIterable<Uint8Array>);
const turn = () => new Promise(setImmediate);

describe("lockSource", () => {
  it.each([
    ["a Writable", new Writable()],
    ["an EventEmitter", new EventEmitter()],
    ["a stream without a readable side that is no stream", { on() {}, removeListener() {}, pipe() {} }],
    ["text", "text"],
    ["null", null],
  ])("does not accept %s as a source", (_, value) => {
    expect(isAsyncSource(value)).toBe(false);
  });

  it("locks a source that can be read once only once", async () => {
    const generator = (async function* () {
      yield testBytes(3);
    })();
    const sources: object[] = [generator, Readable.from([testBytes(3)]), new Blob(["x"]).stream()];
    for (const source of sources) {
      await pieces(source);
      const error = await errorOf(() => lockSource("source", source));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain("that an earlier call has read");
    }
    const again = [testBytes(3)];
    expect(await pieces(again)).toEqual(await pieces(again));
  });

  it("unlocks a source that was not read", async () => {
    const stream = Readable.from([testBytes(3)]);
    await encrypt(stream, { dataKey }).return?.();
    expect(stream.destroyed).toBe(false);
    for (const event of ["error", "end", "close", "readable"]) expect(stream.listenerCount(event)).toBe(0);
    expect(await collect(decrypt(encrypt(stream, { dataKey }), { dataKey }))).toEqual(testBytes(3));
  });

  it("keeps events that are emitted before the first read", async () => {
    const emitter = new EventEmitter();
    const source = { [Symbol.asyncIterator]: () => on(emitter, "bytes", { close: ["end"] } as never) };
    const locked = lockSource("source", source);
    for (let count = 0; count < 3; count++) emitter.emit("bytes", count);
    emitter.emit("end");
    const seen: unknown[] = [];
    for await (const item of locked) seen.push(item);
    expect(seen).toEqual([[0], [1], [2]]);
  });

  it("allows other code to listen, but not to consume bytes", async () => {
    for (const takeAway of ["data", "pipe", "resume"] as const) {
      const stream = new PassThrough();
      const locked = lockSource("source", stream) as AsyncIterable<Uint8Array>;
      const seen: Buffer[] = [];
      if (takeAway === "data") stream.on("data", (bytes: Buffer) => seen.push(bytes));
      if (takeAway === "pipe") stream.pipe(new PassThrough()).on("data", (bytes: Buffer) => seen.push(bytes));
      if (takeAway === "resume") stream.resume();
      stream.write(testBytes(5));
      await turn();
      stream.end(testBytes(5));
      expect(await collect(locked)).toEqual(Buffer.concat([testBytes(5), testBytes(5)]));
      await turn();
      if (takeAway !== "resume") expect(Buffer.concat(seen)).toHaveLength(10);
    }
  });

  it("refuses a stream that is paused while it is piped, but accepts one that only has listeners", async () => {
    const piped = new PassThrough({ highWaterMark: 1 });
    piped.pipe(new Writable({ highWaterMark: 1, write: () => undefined }));
    piped.write(testBytes(100));
    await turn();
    expect((await errorOf(() => lockSource("source", piped))).message).toContain("other code reads");
    const listened = new PassThrough();
    listened.on("data", () => undefined).pause();
    listened.end(testBytes(3));
    expect(await pieces(listened)).toEqual(testBytes(3));
  });

  it("loses no bytes to an earlier listener or from the body of a response", async () => {
    for (const isResponse of [false, true]) {
      const stream = new PassThrough();
      if (isResponse) Object.assign(stream, { transformToWebStream: () => undefined });
      stream.write(testBytes(5));
      let heard = 0;
      stream.on("data", (bytes: Buffer) => {
        heard += bytes.length;
      });
      const locked = lockSource("source", stream) as AsyncIterable<Uint8Array>;
      await turn();
      expect(heard).toBe(0);
      stream.end(testBytes(5));
      expect(await collect(locked)).toHaveLength(10);
      expect(heard).toBe(10);
    }
  });

  it("fails if the encoding is set after the stream was locked", async () => {
    const stream = new PassThrough();
    const locked = lockSource("source", stream)[Symbol.asyncIterator]();
    stream.setEncoding("utf8");
    stream.write(Buffer.of(0xff, 0xfe));
    expect((await errorOf(() => locked.next())).message).toContain("setEncoding()");
  });

  it("reads a stream from its current position", async () => {
    const stream = Readable.from(testBytes(10), { objectMode: false });
    await new Promise((resolve) => stream.once("readable", resolve));
    expect(stream.read(4)).toHaveLength(4);
    expect(await pieces(stream)).toEqual(testBytes(10).subarray(4));
  });

  it("does not close a duplex stream that its owner may write to", async () => {
    const stream = new PassThrough({ allowHalfOpen: true, autoDestroy: false });
    stream.end(testBytes(3));
    expect(await pieces(stream)).toEqual(testBytes(3));
    expect(stream.destroyed).toBe(false);
  });

  it("keeps the last bytes of a small stream that ends, closes or fails within read()", async () => {
    class Small extends EventEmitter {
      readonly bytes = [testBytes(3), testBytes(4)];
      readonly events: readonly string[];
      constructor(...events: string[]) {
        super();
        this.events = events;
      }
      pipe() {}
      read() {
        const next = this.bytes.shift() ?? null;
        if (this.bytes.length === 0) for (const event of this.events) this.emit(event, new Error("broken"));
        return next;
      }
    }
    const whole = Buffer.concat([testBytes(3), testBytes(4)]);
    expect(await pieces(new Small("end"))).toEqual(whole);
    expect(await pieces(new Small("end", "close"))).toEqual(whole);
    expect(await errorOf(() => pieces(new Small("close")))).toEqual(coded("SOURCE_FAILED"));
    expect((await errorOf(() => pieces(new Small("error", "end", "close")))).message).toBe("broken");
  });

  it("accepts bytes of another realm", async () => {
    const foreign = runInNewContext("new Uint8Array([1, 2, 3])") as Uint8Array;
    expect(foreign).not.toBeInstanceOf(Uint8Array);
    expect(bytesOf(foreign)).toEqual(new Uint8Array([1, 2, 3]));
    const message = await collect(encrypt(foreign, { dataKey }));
    const streamed = await collect(encrypt(Readable.from([foreign]), { dataKey }));
    expect(await collect(decrypt(message, { dataKey }))).toEqual(Buffer.of(1, 2, 3));
    expect(await collect(decrypt(streamed, { dataKey }))).toEqual(Buffer.of(1, 2, 3));
  });

  it("closes an iterator once, and reports the failure to create one when it is read", async () => {
    const end = vi.fn();
    const locked = lockSource("source", { [Symbol.asyncIterator]: () => ({ next: vi.fn(), return: end }) });
    locked.close();
    locked.close();
    await until(() => expect(end).toHaveBeenCalledTimes(1));
    const broken = new Error("broken");
    const failing = lockSource("source", {
      [Symbol.asyncIterator]() {
        throw broken;
      },
    });
    expect(await errorOf(() => failing[Symbol.asyncIterator]().next())).toBe(broken);
  });
});

it("the first read rejects if a stream was cut off before it", async () => {
  const stream = new PassThrough();
  const message = encrypt(stream, { dataKey });
  stream.write(testBytes(5));
  stream.destroy();
  await turn();
  expect(await errorOf(() => message.next())).toEqual(coded("SOURCE_FAILED"));
});
