import { describe, expect, it, vi } from "vitest";
import { MessageIterator } from "../../../src/cobblestone/stream/message-iterator.js";
import { errorOf } from "../../support/errors.js";

const broken = new Error("broken");
const bytes = (...values: number[]) => Buffer.from(values);
/** Returns each byte as a piece, and one more piece at the end. */
const codec = () => ({
  update: (input: Uint8Array) => Array.from(input, (value) => bytes(value)),
  final: () => [bytes(255)],
});
const failing = { ...codec(), update: () => raise() };

/** A source that records its calls. */
function sourceOf(...items: unknown[]) {
  const end = vi.fn(async () => ({ done: true, value: undefined }));
  const next = vi.fn(async () => {
    const value = items.shift();
    if (value instanceof Error) throw value;
    return { done: value === undefined, value };
  });
  const open = vi.fn(() => ({ next, return: end }));
  return { [Symbol.asyncIterator]: open as never, open, next, end };
}

describe("MessageIterator", () => {
  it("settles concurrent calls in their order", async () => {
    const pieces = new MessageIterator(sourceOf(bytes(1, 2, 3), bytes(), bytes(4)), codec());
    const calls = Array.from({ length: 7 }, () => pieces.next());
    const answers = await Promise.all(calls);
    expect(answers.map(({ value }) => value?.[0])).toEqual([1, 2, 3, 4, 255, undefined, undefined]);
    expect(answers.map(({ done }) => done)).toEqual([false, false, false, false, false, true, true]);
  });

  it("settles a call for an available piece after pending calls", async () => {
    const pieces = new MessageIterator(sourceOf(bytes(1, 2, 3)), codec());
    const first = pieces.next();
    await first;
    const [second, third] = [pieces.next(), pieces.next()];
    const end = pieces.return();
    const after = pieces.next();
    expect((await Promise.all([second, third, end, after])).map(({ value }) => value?.[0])).toEqual([
      2,
      3,
      undefined,
      undefined,
    ]);
  });

  it("reads no more of the source than requested", async () => {
    const source = sourceOf(bytes(1), bytes(2));
    const pieces = new MessageIterator(source, codec());
    expect(source.open).not.toHaveBeenCalled();
    await pieces.next();
    expect(source.next).toHaveBeenCalledTimes(1);
  });

  it("processes a large piece in parts", async () => {
    const update = vi.fn((input: Uint8Array) => [Buffer.from(input)]);
    const pieces = new MessageIterator([Buffer.alloc(600_000)], { update, final: () => [] });
    expect((await pieces.next()).value?.length).toBe(262_144);
    expect(update).toHaveBeenCalledTimes(1);
    let rest = 0;
    for await (const piece of pieces) rest += piece.length;
    expect(rest).toBe(600_000 - 262_144);
  });

  it("lets other callbacks run while it processes a large piece", async () => {
    const busy = (input: Uint8Array) => {
      const until = performance.now() + 5;
      while (performance.now() < until);
      return [Buffer.from(input)];
    };
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    for await (const _ of new MessageIterator([Buffer.alloc(20 * 262_144)], {
      update: busy,
      final: () => [],
    }));
    clearInterval(timer);
    expect(turns).toBeGreaterThanOrEqual(2);
  });

  it("closes its source once if it ends early, and only if the source was opened", async () => {
    const source = sourceOf(bytes(1, 2), bytes(3));
    const pieces = new MessageIterator(source, codec());
    for await (const _ of pieces) break;
    await pieces.return();
    expect(source.end).toHaveBeenCalledTimes(1);
    expect(await pieces.next()).toEqual({ done: true, value: undefined });
    const unopened = sourceOf(bytes(1));
    await new MessageIterator(unopened, codec()).return();
    expect(unopened.end).not.toHaveBeenCalled();
  });

  it("does not close a source that it has read to the end", async () => {
    const source = sourceOf(bytes(1));
    for await (const _ of new MessageIterator(source, codec()));
    expect(source.end).not.toHaveBeenCalled();
  });

  it.each([
    ["the source fails", sourceOf(broken), codec(), 0],
    ["the codec fails", sourceOf(bytes(1)), failing, 1],
    ["the end of the codec fails", sourceOf(), { ...codec(), final: () => raise() }, 0],
    ["the source yields no bytes", sourceOf("text"), codec(), 1],
    ["the source gives no result", { ...sourceOf(), [Symbol.asyncIterator]: () => ({}) }, codec(), undefined],
  ])("keeps failing with the same error when %s", async (_, source, coder, closed) => {
    const pieces = new MessageIterator(source as never, coder);
    const error = await errorOf(() => pieces.next());
    expect(error).toBeInstanceOf(Error);
    expect(await errorOf(() => pieces.next())).toBe(error);
    await pieces.return();
    expect(await errorOf(() => pieces.next())).toBe(error);
    if (closed !== undefined) expect(source.end).toHaveBeenCalledTimes(closed);
  });

  it("reports the first failure, not that of closing the source", async () => {
    const source = sourceOf(bytes(1));
    source.end.mockRejectedValue(new Error("cannot close"));
    expect(await errorOf(() => new MessageIterator(source, failing).next())).toBe(broken);
  });
});

function raise(): never {
  throw broken;
}
