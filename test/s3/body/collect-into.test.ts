import { Readable } from "node:stream";
import fc from "fast-check";
import { expect, it } from "vitest";
import { collectInto } from "../../../src/s3/body/collect-into.js";
import { cut, expectBytes, testBytes } from "../../support/bytes.js";
import { errorOf } from "../../support/errors.js";

const guard = (options: { signal?: AbortSignal; idleTimeoutMs?: number } = {}) => ({
  signal: new AbortController().signal,
  idleTimeoutMs: 0,
  stalled: (bytes: number) => new Error(`stalled after ${bytes}`),
  failed: (bytes: number, cause: unknown) => new Error(`failed after ${bytes}`, { cause }),
  ...options,
});
const never = () => new Readable({ read: () => undefined });

it("collectInto fills the targets in order, however the body is cut, and returns the number of bytes", async () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 4 });
  const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      lengths,
      pieces,
      fc.integer({ min: 0, max: 200 }),
      async (targetLengths, cuts, length) => {
        const body = testBytes(length);
        const targets = targetLengths.map((bytes) => Buffer.alloc(bytes));
        const room = targets.reduce((sum, target) => sum + target.length, 0);
        const seen = await collectInto(Readable.from(cut(body, ...cuts)), targets, guard());
        if (length <= room) expect(seen).toBe(length);
        else expect(seen).toBeGreaterThan(room);
        const expected = Buffer.alloc(room);
        body.copy(expected);
        expectBytes(Buffer.concat(targets), expected);
      },
    ),
  );
});

it("collectInto accepts an iterable that is not a stream, and no body", async () => {
  const target = Buffer.alloc(3);
  const pieces = async function* () {
    yield Buffer.from("ab");
    yield Buffer.from("c");
  };
  expect(await collectInto(pieces(), [target], guard())).toBe(3);
  expect(target.toString()).toBe("abc");
  expect(await collectInto(undefined, [target], guard())).toBe(0);
});

it("collectInto rejects when the body fails, is destroyed, or yields something other than bytes", async () => {
  const cause = new Error("mine");
  const failing = Readable.from([Buffer.from("ab")]);
  failing.once("data", () => failing.destroy(cause));
  const error = await errorOf(() => collectInto(failing, [Buffer.alloc(9)], guard()));
  expect(error).toMatchObject({ message: "failed after 2", cause });
  const closed = never();
  const closing = errorOf(() => collectInto(closed, [Buffer.alloc(9)], guard()));
  closed.destroy();
  expect(await closing).toMatchObject({
    message: "failed after 0",
    cause: { code: "ERR_STREAM_PREMATURE_CLOSE" },
  });
  const other = await errorOf(() => collectInto(Readable.from(["text"]), [Buffer.alloc(9)], guard()));
  expect(other).toMatchObject({ message: "failed after 0", cause: expect.any(TypeError) });
});

it("collectInto rejects after the idle timeout, which each piece restarts", async () => {
  const body = never();
  body.push(Buffer.from("abc"));
  expect(
    (await errorOf(() => collectInto(body, [Buffer.alloc(9)], guard({ idleTimeoutMs: 30 })))).message,
  ).toBe("stalled after 3");
  expect(body.destroyed).toBe(true);
});

it("collectInto rejects when the signal aborts, before or during reading, and writes nothing after that", async () => {
  const reason = new Error("enough");
  expect(await errorOf(() => collectInto(never(), [], guard({ signal: AbortSignal.abort(reason) })))).toBe(
    reason,
  );
  const controller = new AbortController();
  const body = never();
  const target = Buffer.alloc(9);
  const collecting = errorOf(() => collectInto(body, [target], guard({ signal: controller.signal })));
  body.push(Buffer.from("a"));
  await new Promise(setImmediate);
  controller.abort(reason);
  body.push(Buffer.from("b"));
  expect(await collecting).toBe(reason);
  await new Promise(setImmediate);
  expect(target.toString()).toBe(`a${"\0".repeat(8)}`);
  expect(body.destroyed).toBe(true);
});
