import { createHash, randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { dataKeyArgument, deriveMessageKeys } from "../../../src/cobblestone/derivation.js";
import { CryptoEngine, poolOf } from "../../../src/cobblestone/engine/engine.js";
import { chunkBytes, chunkOffset, ciphertextLength } from "../../../src/cobblestone/layout.js";
import { decrypt, encrypt, openSource, sealSource } from "../../../src/cobblestone/stream/message.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines, workerOf, workerUrl } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";
import { heldBytes } from "../../support/gc.js";
import { steady, until } from "../../support/until.js";

const dataKey = testBytes(32, 1);
const keys = deriveMessageKeys(dataKeyArgument("dataKey", dataKey), testBytes(24, 3), Buffer.alloc(0));
const onThread = new CryptoEngine({ maxWorkers: 0 });
const plaintext = testBytes(3_000_000);
const long = testBytes(20_000_000);
const sealedLong = collect(sealSource(long, keys, { engine: onThread }));
const message = collect(sealSource(plaintext, keys, { engine: onThread }));
const { newEngine, startedEngine } = useEngines();

describe("an engine with workers", () => {
  it("produces the same bytes as the calling thread, and reads them", async () => {
    const engine = await startedEngine();
    expectBytes(await collect(sealSource(cut(plaintext, 65_536), keys, { engine })), await message);
    expectBytes(await collect(decrypt(cut(await message, 65_536), { dataKey, engine })), plaintext);
    expect(poolOf(engine).pendingBatches).toBe(0);
  });

  it("does so for any piece lengths and any minWorkerBytes", async () => {
    const lengths = fc.array(fc.nat(400_000), { minLength: 1, maxLength: 6 });
    const engines = await Promise.all(
      [0, 1, 50_000, 1_000_000].map((minWorkerBytes) => startedEngine({ maxWorkers: 1, minWorkerBytes })),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2_000_000),
        lengths,
        lengths,
        fc.constantFrom(...engines),
        async (length, before, after, engine) => {
          const bytes = plaintext.subarray(0, length);
          const sealed = await collect(sealSource(cut(bytes, ...before, 100_000), keys, { engine }));
          expect(sealed.length).toBe(ciphertextLength(length));
          const start = length - (length % chunkBytes);
          expectBytes(
            sealed.subarray(0, chunkOffset(start / chunkBytes)),
            (await message).subarray(0, chunkOffset(start / chunkBytes)),
          );
          expectBytes(await collect(decrypt(cut(sealed, ...after, 90_000), { dataKey, engine })), bytes);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("opens consecutive chunks from the middle of a message", async () => {
    const engine = await startedEngine();
    const body = (await message).subarray(chunkOffset(20), chunkOffset(150));
    const input = { keys, firstChunk: 20, endsMessage: false };
    expectBytes(
      await collect(openSource(cut(body, 65_536), input, { engine })),
      plaintext.subarray(20 * chunkBytes, 150 * chunkBytes),
    );
  });

  it("serves many messages at once, with few pending batches", async () => {
    const engine = await startedEngine();
    let most = 0;
    const watched = async function* () {
      for (const piece of cut(plaintext, 65_536)) {
        most = Math.max(most, poolOf(engine).pendingBatches);
        await new Promise(setImmediate);
        yield piece;
      }
    };
    const sealed = await Promise.all(
      Array.from({ length: 24 }, () => collect(sealSource(watched(), keys, { engine }))),
    );
    for (const bytes of sealed) expectBytes(bytes, await message);
    // Two for each worker, and one or two for each message: a batch that was begun while there was room, and the last one.
    expect(most).toBeGreaterThan(2);
    expect(most).toBeLessThanOrEqual(4 + 2 * 24);
  });

  it.each([0, 1, 17, 40, 100, 183])(
    "releases nothing from chunk %i on if its tag does not verify, and keeps failing",
    async (chunk) => {
      const engine = await startedEngine();
      const forged = Buffer.from(await message);
      const at = chunkOffset(chunk) + 7;
      forged.writeUInt8(forged.readUInt8(at) ^ 0x80, at);
      const pieces = decrypt(cut(forged, 65_536), { dataKey, engine });
      const { released, error } = await collectUntilError(pieces);
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expect(released.length).toBeLessThanOrEqual(chunk * chunkBytes);
      expectBytes(released, plaintext.subarray(0, released.length));
      expect(await errorOf(() => pieces.next())).toBe(error);
    },
  );

  it.each([
    ["cut between chunks", (bytes: Buffer) => bytes.subarray(0, chunkOffset(150)), "BODY_TRUNCATED"],
    ["cut within a tag", (bytes: Buffer) => bytes.subarray(0, chunkOffset(150) + 8), "BODY_TRUNCATED"],
    ["cut within a chunk", (bytes: Buffer) => bytes.subarray(0, chunkOffset(150) + 999), "DECRYPTION_FAILED"],
    ["with two chunks swapped", swapped, "DECRYPTION_FAILED"],
    ["with bytes appended", (bytes: Buffer) => Buffer.concat([bytes, testBytes(99)]), "DECRYPTION_FAILED"],
  ] as const)("refuses a message %s", async (_, change, code) => {
    const engine = await startedEngine();
    const source = cut(change(await message), 65_536);
    const { released, error } = await collectUntilError(decrypt(source, { dataKey, engine }));
    expect(error).toEqual(coded(code));
    expectBytes(released, plaintext.subarray(0, released.length));
  });

  it("returns the bytes that were sealed before the source failed, then its error", async () => {
    const engine = await startedEngine();
    const broken = new Error("broken");
    const source = async function* () {
      yield* cut(plaintext.subarray(0, 1_000_000), 65_536);
      throw broken;
    };
    const { released, error } = await collectUntilError(sealSource(source(), keys, { engine }));
    expect(error).toBe(broken);
    expectBytes(released, (await message).subarray(0, chunkOffset(Math.floor(1_000_000 / chunkBytes))));
  });

  it.each(["encrypt", "decrypt"] as const)(
    "%s reads ahead no more than its bound while nobody takes anything",
    async (act) => {
      const engine = await startedEngine();
      let read = 0;
      let taken = 0;
      let mostAhead = 0;
      const source = async function* () {
        const bytes = act === "encrypt" ? long : await sealedLong;
        for (const piece of cut(bytes, 65_536)) {
          read += piece.length;
          mostAhead = Math.max(mostAhead, read - taken);
          yield piece;
        }
      };
      const pieces = { encrypt, decrypt }[act](source(), { dataKey, engine });
      for (let piece = 0; piece < 10; piece++) taken += (await pieces.next()).value.length;
      await steady(() => read);
      expect(mostAhead).toBeLessThan(5 * 1024 * 1024);
      let rest = taken;
      for await (const piece of pieces) rest += piece.length;
      expect(rest).toBe(act === "encrypt" ? ciphertextLength(long.length) : long.length);
    },
  );

  it("does not hold back whole chunks while the source is slow", async () => {
    const engine = await startedEngine();
    let sealed = 0;
    const source = async function* () {
      for (let piece = 1; piece <= 8; piece++) {
        yield testBytes(3 * chunkBytes);
        // Waits for the output of the pieces so far.
        while (sealed < chunkOffset(3 * piece)) await new Promise(setImmediate);
      }
    };
    for await (const piece of encrypt(source(), { dataKey, engine })) sealed += piece.length;
    expect(sealed).toBe(ciphertextLength(24 * chunkBytes));
  });

  it("submits a partial batch when no batch is pending", async () => {
    const engine = await startedEngine();
    let sealed = 0;
    const source = async function* () {
      // The second piece arrives while the first is pending, and no further piece follows.
      yield testBytes(3 * chunkBytes);
      yield testBytes(2 * chunkBytes);
      while (sealed < chunkOffset(5)) await new Promise(setImmediate);
    };
    for await (const piece of encrypt(source(), { dataKey, engine })) sealed += piece.length;
    expect(sealed).toBe(ciphertextLength(5 * chunkBytes));
  });

  it("uses every worker", async () => {
    // Workers that respond only after a signal.
    const name = randomUUID();
    const workerUrl = workerOf(`
      const waiting = [];
      let answers = false;
      const answer = (buffer) => parentPort.postMessage({ buffer, verified: true }, [buffer]);
      parentPort.on("message", ({ buffer }) => (answers ? answer(buffer) : waiting.push(buffer)));
      new BroadcastChannel("${name}").onmessage = () => {
        answers = true;
        for (const buffer of waiting.splice(0)) answer(buffer);
      };`);
    const engine = await startedEngine({ workerUrl });
    const sealing = collect(encrypt(cut(long.subarray(0, 5_000_000), 65_536), { dataKey, engine }));
    await expect.poll(() => poolOf(engine).pendingBatches).toBeGreaterThanOrEqual(4);
    const channel = new BroadcastChannel(name);
    // Repeated, because a worker that has just started may not listen yet.
    const telling = setInterval(() => channel.postMessage("answer"), 10);
    await sealing;
    clearInterval(telling);
    channel.close();
  });

  it("holds no more memory than documented, even with partial batches", async () => {
    const engine = await startedEngine();
    let read = 0;
    const source = async function* () {
      for (; read < 60; read++) {
        yield long.subarray(0, 17 * chunkBytes);
        await new Promise(setImmediate);
      }
    };
    const pieces = encrypt(source(), { dataKey, engine });
    await pieces.next();
    const before = heldBytes();
    await steady(() => read);
    await until(() => expect(heldBytes() - before).toBeLessThan(6 * 1024 * 1024));
    await pieces.return?.();
  });

  it("returns a few chunks in memory of their own size", async () => {
    const engine = await startedEngine({ maxWorkers: 1 });
    let sealed = 0;
    const source = async function* () {
      for (let piece = 1; piece <= 10; piece++) {
        yield testBytes(chunkBytes);
        while (sealed < chunkOffset(piece)) await new Promise(setImmediate);
      }
    };
    for await (const piece of encrypt(source(), { dataKey, engine })) {
      sealed += piece.length;
      expect(piece.buffer.byteLength).toBeLessThanOrEqual(2 * piece.length + 64 * 1024);
    }
  });

  it("closes the source during a read ahead when the iteration ends early", async () => {
    const engine = await startedEngine();
    let closed = false;
    const source = async function* () {
      try {
        while (true) yield testBytes(65_536);
      } finally {
        closed = true;
      }
    };
    for await (const piece of encrypt(source(), { dataKey, engine })) if (piece.length > 100_000) break;
    await until(() => expect(closed).toBe(true));
    await expect.poll(() => poolOf(engine).pendingBatches).toBe(0);
  });

  it.each([true, false])(
    "reuses the memory of its pieces only if reuseBuffers is %s",
    async (reuseBuffers) => {
      const engine = await startedEngine();
      const hash = createHash("sha256");
      const pieces: Buffer[] = [];
      const sealing = sealSource(cut(long, 65_536), keys, { engine, reuseBuffers });
      for await (const piece of openSource(
        sealing,
        { readHeader: () => keys, endsMessage: true },
        { engine, reuseBuffers },
      )) {
        hash.update(piece);
        pieces.push(piece);
      }
      expect(hash.digest("hex")).toBe(createHash("sha256").update(long).digest("hex"));
      // Memory that was transferred to a worker again is detached from its pieces.
      const gone = pieces.filter(({ length }) => length === 0).length;
      if (reuseBuffers) expect(gone).toBeGreaterThan(8);
      else expect(gone).toBe(0);
    },
  );

  it("reads no more after the iteration ended early, even if the source cannot be closed", async () => {
    const engine = await startedEngine();
    let read = 0;
    const next = async () => {
      read += 1;
      await new Promise(setImmediate);
      return { done: false as const, value: long.subarray(0, 65_536) };
    };
    const pieces = encrypt({ [Symbol.asyncIterator]: () => ({ next }) }, { dataKey, engine });
    for (let piece = 0; piece < 5; piece++) await pieces.next();
    await pieces.return?.();
    const before = read;
    await steady(() => read);
    // The pending read.
    expect(read).toBeLessThanOrEqual(before + 1);
  });

  it("starts no worker for a short message", async () => {
    const engine = newEngine({ minWorkerBytes: 1_000_000 });
    await collect(encrypt(cut(plaintext.subarray(0, 900_000), 65_536), { dataKey, engine }));
    expect(engine.workers).toBe(0);
    await collect(encrypt(cut(plaintext, 65_536), { dataKey, engine }));
    expect(engine.workers).toBeGreaterThan(0);
  });
});

describe("closing an engine", () => {
  it("waits for pending batches and ends all workers, while messages continue on the calling thread", async () => {
    const engine = await startedEngine();
    const pieces = encrypt(cut(plaintext, 65_536), { dataKey, engine });
    let sealed = (await pieces.next()).value?.length ?? 0;
    sealed += (await pieces.next()).value?.length ?? 0;
    await engine.close();
    expect([engine.workers, poolOf(engine).pendingBatches]).toEqual([0, 0]);
    for await (const piece of pieces) sealed += piece.length;
    expect(sealed).toBe(ciphertextLength(plaintext.length));
    expectBytes(await collect(sealSource(cut(plaintext, 65_536), keys, { engine })), await message);
    expect(engine.workers).toBe(0);
    await engine.close();
  });

  it("loses no byte of messages that are in progress", async () => {
    const engine = await startedEngine();
    const all = Promise.all(
      [1, 2, 3].map(() => collect(sealSource(cut(plaintext, 65_536), keys, { engine }))),
    );
    await new Promise(setImmediate);
    await engine[Symbol.asyncDispose]();
    for (const sealed of await all) expectBytes(sealed, await message);
  });

  it("settles each of several calls when all workers have ended", async () => {
    const engine = await startedEngine();
    const [first, second] = [engine.close(), engine.close()];
    let ended = false;
    void first.then(() => {
      ended = true;
    });
    await second;
    expect(ended).toBe(true);
  });

  it("ends a worker that is still starting, which is not reported as a fallback", async () => {
    const events = listen();
    const engine = newEngine();
    poolOf(engine).findRoom(2);
    expect([engine.workers, poolOf(engine).readyWorkers]).toEqual([1, 0]);
    await engine.close();
    expect(events).toEqual([]);
  });
});

describe("without usable workers", () => {
  it.each([
    ["their code is not there", new URL("file:///no/such/worker.js"), /no.such.worker/],
    ["their code fails", new URL("data:text/javascript,throw new Error('broken worker')"), /broken worker/],
    ["their code ends", new URL("data:text/javascript,"), /exited with 0/],
    [
      "their program is of another release",
      new URL(
        "data:text/javascript,import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => 0); parentPort.postMessage('ready');",
      ),
      /not that of this release/,
    ],
    ["no thread can be made of such a URL", new URL("https://example.com/worker.js"), /protocol|scheme/i],
  ])(
    "because %s, the calling thread does all work, and the channel reports that once",
    async (_, url, why) => {
      const events = listen();
      const engine = newEngine({ workerUrl: url });
      for (let time = 0; time < 2; time++) {
        expectBytes(await collect(sealSource(cut(plaintext, 65_536), keys, { engine })), await message);
        await expect.poll(() => engine.workers).toBe(0);
      }
      expect(events).toEqual([
        { event: "fallback", cause: expect.objectContaining({ message: expect.stringMatching(why) }) },
      ]);
    },
  );

  it("a message in progress fails when its worker ends, and the next message gets another worker", async () => {
    const events = listen();
    const engine = await startedEngine({
      maxWorkers: 1,
      workerUrl: workerOf("parentPort.once('message', () => process.exit(7))"),
    });
    for (let time = 0; time < 2; time++) {
      const { error } = await collectUntilError(encrypt(cut(plaintext, 65_536), { dataKey, engine }));
      expect(error).toEqual(coded("WORKER_FAILED"));
      expect((error as Error).cause).toEqual(new Error("it exited with 7"));
      await engine.start();
    }
    expect(events).toEqual([]);
  });

  it("because their program sends no message, the calling thread does all work, and the channel reports that once", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const events = listen();
    const workerUrl = new URL("data:text/javascript,setInterval(() => 0, 1000);");
    const engine = newEngine({ workerUrl });
    const started = engine.start();
    vi.advanceTimersByTime(10_000);
    await started;
    const cause = new Error("it did not start within 10000 ms");
    expect([engine.workers, events]).toEqual([0, [{ event: "fallback", cause }]]);
  });

  it.each([
    ["nothing", "parentPort.postMessage(undefined)"],
    ["a shorter buffer", "parentPort.postMessage({ buffer: new ArrayBuffer(8), verified: true })"],
    ["no verdict", "parentPort.postMessage({ buffer }, [buffer])"],
  ])("a message fails when its worker responds with %s, and the engine can be closed", async (_, answer) => {
    const workerUrl = workerOf(`parentPort.on("message", ({ buffer }) => ${answer});`);
    const engine = await startedEngine({ maxWorkers: 1, workerUrl });
    const { error } = await collectUntilError(encrypt(cut(plaintext, 65_536), { dataKey, engine }));
    expect(error).toEqual(coded("WORKER_FAILED"));
    expect((error as Error).cause).toEqual(new Error("it sent an unexpected message"));
    await engine.close();
  });

  it("a worker that sends a message without a task is ended", async () => {
    const workerUrl = workerOf("parentPort.postMessage({ buffer: new ArrayBuffer(8), verified: true });");
    const engine = newEngine({ maxWorkers: 1, workerUrl });
    await engine.start();
    await expect.poll(() => engine.workers).toBe(0);
  });

  it("messages that wait for a worker continue on the calling thread when it ends, and close() settles", async () => {
    // It exits after a delay, so that other messages wait for it; the length of the delay does not matter.
    const workerUrl = workerOf("parentPort.once('message', () => setTimeout(() => process.exit(7), 50))");
    const engine = await startedEngine({ maxWorkers: 1, workerUrl });
    const all = Array.from({ length: 6 }, () =>
      collectUntilError(sealSource(cut(plaintext, 65_536), keys, { engine })),
    );
    await new Promise(setImmediate);
    await engine.close();
    for (const { released, error } of await Promise.all(all)) {
      if (error) expect(error).toEqual(coded("WORKER_FAILED"));
      expectBytes(released, (await message).subarray(0, error ? released.length : undefined));
    }
    expect(engine.workers).toBe(0);
  });

  it("an engine with maxWorkers 0 has no workers", async () => {
    await collect(encrypt(cut(plaintext, 65_536), { dataKey, engine: onThread }));
    expect([onThread.workers, poolOf(onThread).hasWorkers, poolOf(onThread).findRoom(2)]).toEqual([
      0,
      false,
      false,
    ]);
  });
});

it.each([
  [{ maxWorkers: -1 }, RangeError, /^options\.maxWorkers: expected an integer from 0 to 64, got -1/],
  [{ maxWorkers: 65 }, RangeError, /^options\.maxWorkers/],
  [{ minWorkerBytes: 0.5 }, RangeError, /^options\.minWorkerBytes/],
  [{ workerUrl: workerUrl.href }, TypeError, /^options\.workerUrl: expected a URL, got a string/],
  [7, TypeError, /^options: expected an object/],
])("an engine with the options %j is refused", (options, type, why) => {
  const make = () => new CryptoEngine(options as never);
  expect(make).toThrow(type);
  expect(make).toThrow(why);
});

it.each([encrypt, decrypt])("a value that is not an engine is refused", (act) => {
  const wrong = () => act(Buffer.alloc(0), { dataKey, engine: { run: () => undefined } as never });
  expect(wrong).toThrow(new TypeError("options.engine: expected a CryptoEngine, got an instance of Object"));
});

/** The messages of the channel until the test ends. */
function listen(): unknown[] {
  const events: unknown[] = [];
  const onEvent = (event: unknown) => void events.push(event);
  subscribe("s3-envelope:engine", onEvent);
  onTestFinished(() => void unsubscribe("s3-envelope:engine", onEvent));
  return events;
}

function swapped(bytes: Buffer): Buffer {
  const [first, second] = [chunkOffset(60), chunkOffset(61)];
  return Buffer.concat([
    bytes.subarray(0, first),
    bytes.subarray(second, chunkOffset(62)),
    bytes.subarray(first, second),
    bytes.subarray(chunkOffset(62)),
  ]);
}
