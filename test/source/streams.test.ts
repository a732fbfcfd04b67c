/** Streams of every family in every call that accepts a body: the whole source is stored, or an error is reported and nothing is stored. */
import { type EventEmitter, getEventListeners } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cut, expectBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { useLocalAws } from "../support/local.js";
import { everyNth } from "../support/tier.js";
import { type Entry, entriesOf } from "./entries.js";
import { type Family, type Fed, families } from "./families.js";

const local = useLocalAws();
const failure = new Error("the maker failed");
const nothing = async () => undefined;

/** Uncaught errors, which would end the process of a program. */
const uncaught: unknown[] = [];
const onUncaught = (error: unknown) => uncaught.push(error);
const events = ["uncaughtException", "unhandledRejection"] as const;
beforeAll(() => {
  for (const event of events) process.on(event, onUncaught);
});
afterAll(() => {
  for (const event of events) process.off(event, onUncaught);
});
afterEach(async () => {
  await turns();
  expect(uncaught.splice(0)).toEqual([]);
});

/** Waits for some turns of the event loop, after which streams have emitted their pending events. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

/** Writes all bytes to a source, piece by piece. */
async function feed(fed: Fed, bytes: Uint8Array, upTo = bytes.length): Promise<void> {
  for (const piece of cut(bytes.subarray(0, upTo), 10_000)) {
    fed.push(piece);
    await turns();
  }
}

/** Makes a call that must fail and must not change what S3 stores. */
async function refused(entry: Entry, source: object, asked: () => Promise<void>): Promise<Error> {
  const before = await local.contents();
  const error = await errorOf(() => entry.run(source, asked));
  expect(await local.contents()).toEqual(before);
  return error;
}

const names = entriesOf(local).map(({ name }) => name);

describe.each(names.map((name, index) => [name, index] as const))("%s", (name, index) => {
  const all = entriesOf(local);
  const entry = () => all.find((candidate) => candidate.name === name) as Entry;
  const cases = everyNth(families, 8, index).map((family) => [family.name, family] as const);
  const withEvents = cases.filter(([, { kind }]) => kind === "events");

  it.each(cases)(
    "reads all of %s, including bytes that arrive while it waits for a key",
    async (_, family) => {
      const input = await entry().input();
      const fed = family.make();
      const output = await entry().run(fed.source, async () => {
        void feed(fed, input).then(() => fed.end());
        await turns();
      });
      expectBytes(output, entry().output);
    },
  );

  it.each(cases)("reads all of %s that was filled and ended before the call", async (_, family) => {
    // These two lose bytes that they emit without a listener.
    if (family.kind === "iterable" || family.name === "a stream before read()") return;
    const input = await entry().input();
    const fed = family.make();
    for (const piece of cut(input, 10_000)) fed.push(piece);
    fed.end();
    expectBytes(await entry().run(fed.source, nothing), entry().output);
  });

  it.each(
    // In the other families, a listener consumes the bytes.
    withEvents.filter(([, { name }]) => !/streamx|tar-stream|before read/.test(name)),
  )("reads all of %s that got a data listener just before, and so does the listener", async (_, family) => {
    const input = await entry().input();
    const fed = family.make();
    const heard: Uint8Array[] = [];
    (fed.source as EventEmitter).on("data", (bytes: Uint8Array) => heard.push(bytes));
    const output = await entry().run(fed.source, async () => {
      void feed(fed, input).then(() => fed.end());
      await turns();
    });
    expectBytes(output, entry().output);
    expectBytes(Buffer.concat(heard), input);
  });

  const faults: [string, (fed: Fed, input: Uint8Array) => Promise<void>][] = [
    ["before its first byte", async () => undefined],
    ["in the middle", (fed, input) => feed(fed, input, input.length / 2)],
    ["after its last byte, before its end", (fed, input) => feed(fed, input)],
  ];
  for (const [when, prepare] of faults) {
    it.each(cases)(
      `rejects with the error that %s fails with ${when}, while it waits for a key`,
      async (_, family) => {
        const input = await entry().input();
        const fed = family.make();
        const error = await refused(entry(), fed.source, async () => {
          await prepare(fed, input);
          fed.destroy(failure);
          await turns();
        });
        expectFailure(entry(), error);
      },
    );

    it.each(cases)(
      `rejects with the error that %s fails with ${when}, while it is read`,
      async (_, family) => {
        const input = await entry().input();
        const fed = family.make();
        const error = await refused(entry(), fed.source, async () => {
          setImmediate(async () => {
            await prepare(fed, input);
            fed.destroy(failure);
          });
        });
        expectFailure(entry(), error);
      },
    );

    it.each(withEvents)(
      `rejects when %s is destroyed without an error ${when}, while it waits for a key`,
      async (_, family) => {
        const input = await entry().input();
        const fed = family.make();
        const error = await refused(entry(), fed.source, async () => {
          await prepare(fed, input);
          fed.destroy();
          await turns();
        });
        expect(error).toEqual(coded("SOURCE_FAILED"));
        expect(error.message).toContain("closed before it ended");
      },
    );

    it.each(withEvents)(
      `rejects when %s is destroyed without an error ${when}, while it is read`,
      async (_, family) => {
        const input = await entry().input();
        const fed = family.make();
        const error = await refused(entry(), fed.source, async () => {
          setImmediate(async () => {
            await prepare(fed, input);
            fed.destroy();
          });
        });
        expect(error).toEqual(coded("SOURCE_FAILED"));
        expect(error.message).toContain("closed before it ended");
      },
    );
  }

  const beforehand: [string, (family: Family, fed: Fed, input: Uint8Array) => Promise<unknown>][] = [
    ["has been read to its end", async (_, fed, input) => readAll(fed, input)],
    ["was destroyed", async (_, fed) => fed.destroy()],
    [
      "was destroyed with bytes in it",
      async (_, fed, input) => {
        await feed(fed, input, 20_000);
        fed.destroy();
        await turns();
      },
    ],
    [
      "was destroyed with an error",
      async (family, fed) => {
        // Without a listener, the process would end.
        if (family.kind === "events") (fed.source as EventEmitter).on("error", () => undefined);
        fed.destroy(failure);
        await turns();
      },
    ],
    [
      "other code has begun to read",
      async (family, fed) => {
        beginToRead(family, fed);
        await turns();
      },
    ],
    [
      "was resumed",
      async (family, fed) => {
        if (family.kind === "web") return beginToRead(family, fed);
        // The state of these two is not visible from outside.
        if (/streamx|tar-stream|before read/.test(family.name)) return beginToRead(family, fed);
        (fed.source as unknown as { resume(): void }).resume();
        await turns();
      },
    ],
  ];
  for (const [what, act] of beforehand) {
    it.each(cases.filter(([, { kind }]) => kind !== "iterable"))(
      `refuses %s that ${what}, before any request`,
      async (_, family) => {
        const input = await entry().input();
        const fed = family.make();
        await act(family, fed, input);
        local.operations();
        let keyringsAsked = 0;
        const error = await errorOf(() =>
          entry().run(fed.source, async () => {
            keyringsAsked += 1;
          }),
        );
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toMatch(/^(Body|source): expected /);
        if (name !== "decryptEncryptionSdkMessage") expect(keyringsAsked).toBe(0);
        expect(local.operations()).toEqual([]);
      },
    );
  }

  it.each(cases.filter(([, { kind, name }]) => kind !== "iterable" && !/before read/.test(name)))(
    "refuses %s that was just destroyed with an error, without an uncaught error",
    async (_, family) => {
      const fed = family.make();
      const error = await errorOf(() => {
        fed.destroy(failure);
        return entry().run(fed.source, nothing);
      });
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^(Body|source): expected /);
    },
  );

  it.each(
    cases.filter(([, { kind, name }]) => kind === "events" && !/raw pass|before read|duplexify/.test(name)),
  )("refuses %s with setEncoding()", async (_, family) => {
    const fed = family.make();
    (fed.source as unknown as { setEncoding(encoding: string): void }).setEncoding("utf8");
    local.operations();
    const error = await errorOf(() => entry().run(fed.source, nothing));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain("setEncoding()");
    expect(local.operations()).toEqual([]);
  });

  it.each(withEvents)("leaves no listener on %s after reading it, except for errors", async (_, family) => {
    const input = await entry().input();
    const fed = family.make();
    const source = fed.source as EventEmitter;
    const watched = ["readable", "end", "close", "data"];
    const count = () => watched.map((event) => getEventListeners(source, event).length);
    const none = count();
    await entry().run(fed.source, async () => {
      void feed(fed, input).then(() => fed.end());
    });
    await turns();
    if (family.name === "a stream before read()") return;
    for (const [index, left] of count().entries()) expect(left).toBeLessThanOrEqual(none[index] ?? 0);
  });

  it("accepts an ArrayBuffer as bytes, whole and in pieces", async () => {
    const input = new Uint8Array(await entry().input());
    for (const source of [input.buffer, new Blob([input]).stream().pipeThrough(inArrayBuffers())])
      expectBytes(await entry().run(source, nothing), entry().output);
  });

  it.each([
    ["a number", [1]],
    ["an object", [{ type: "Buffer", data: [1] }]],
    ["an array of numbers", [[1, 2]]],
    ["memory that others may change", [new SharedArrayBuffer(2)]],
    ["numbers of two bytes each", [new Uint16Array(2)]],
  ])("refuses a stream in object mode that yields %s", async (_, items) => {
    for (const family of families.filter((each) =>
      /object mode|streamx Readable|ReadableStream$/.test(each.name),
    )) {
      const fed = family.make();
      const error = await refused(entry(), fed.source, async () => {
        for (const item of items) fed.push(item as never);
        fed.end();
      });
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/: each piece: expected a Uint8Array/);
    }
  });
});

/** Yields pieces of the type that `FileHandle.readableWebStream()` yields. */
function inArrayBuffers(): TransformStream<Uint8Array, ArrayBuffer> {
  return new TransformStream({
    transform: (bytes, to) => to.enqueue(new Uint8Array(bytes).buffer),
  });
}

function expectFailure(entry: Entry, error: Error): void {
  if (entry.failure === "own") return void expect(error).toBe(failure);
  expect(error).toEqual(coded("SOURCE_FAILED"));
  expect(error.cause).toBe(failure);
}

/** Reads a source to its end, as other code would. */
async function readAll(fed: Fed, input: Uint8Array): Promise<void> {
  const source = fed.source as EventEmitter & Partial<ReadableStream<Uint8Array>>;
  if (typeof source.getReader === "function") {
    fed.push(input.subarray(0, 10));
    fed.end();
    const reader = source.getReader();
    while (!(await reader.read()).done);
    reader.releaseLock();
    return;
  }
  const ended = new Promise((resolve) => source.once("end", resolve));
  fed.push(input.subarray(0, 10));
  fed.end();
  (source as unknown as { resume(): void }).resume();
  source.on("data", () => undefined);
  await ended;
}

/** Reads a part of a source, as other code would. */
function beginToRead(family: Family, fed: Fed): void {
  if (family.kind === "web") void (fed.source as ReadableStream).getReader();
  else (fed.source as EventEmitter).on("data", () => undefined);
}
