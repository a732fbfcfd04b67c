import { PassThrough, Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { CoalescedReads } from "../../../src/s3/body/coalesced-reads.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { errorOf } from "../../support/errors.js";

const kibibyte = 1024;
/** A stream that pushes these pieces at once. */
const pushed = (...pieces: Uint8Array[]) => {
  const stream = new Readable({ read() {} });
  for (const piece of pieces) stream.push(piece);
  return stream;
};
const turn = () => new Promise(setImmediate);

describe("CoalescedReads", () => {
  it("yields the bytes of the stream", async () => {
    const bytes = testBytes(3_000_000);
    const stream = Readable.from(cut(bytes, 1, 100_000, 16_384, 7), { objectMode: false });
    expectBytes(await collect(new CoalescedReads(stream)), bytes);
  });

  it("joins the small pieces of one turn of the event loop, and yields large ones as they are", async () => {
    const stream = new PassThrough({ highWaterMark: 1024 * kibibyte });
    const reads = new CoalescedReads(stream);
    const first = reads.next();
    const sizes = [16, 16, 16, 64, 1, 1].map((size) => size * kibibyte);
    for (const size of sizes) stream.write(testBytes(size));
    await turn();
    const lengths = [(await first).value?.length];
    for (let left = 0; left < 2; left++) lengths.push((await reads.next()).value?.length);
    expect(lengths).toEqual([48, 64, 2].map((size) => size * kibibyte));
  });

  it("buffers at most 256 KiB and one piece", async () => {
    let made = 0;
    const stream = new Readable({
      highWaterMark: 16 * kibibyte,
      read() {
        made += 16 * kibibyte;
        this.push(made < 8192 * kibibyte ? Buffer.alloc(16 * kibibyte) : null);
      },
    });
    const reads = new CoalescedReads(stream);
    await reads.next();
    for (let times = 0; times < 100; times++) await turn();
    expect(made).toBeLessThanOrEqual(2 * (256 + 32) * kibibyte);
    await reads.return();
  });

  it("fails at once when the stream fails, whatever is buffered, and at each later read", async () => {
    const stream = pushed(testBytes(100));
    const reads = new CoalescedReads(stream);
    expectBytes((await reads.next()).value ?? Buffer.alloc(0), testBytes(100));
    stream.push(testBytes(100));
    await turn();
    stream.destroy(new Error("broken"));
    await turn();
    for (let times = 0; times < 2; times++) {
      expect((await errorOf(() => reads.next())).message).toBe("broken");
    }
  });

  it("fails when the stream closes before its end", async () => {
    const stream = pushed(testBytes(10));
    setImmediate(() => stream.destroy());
    const { error } = await collectUntilError(new CoalescedReads(stream));
    expect(error).toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("reads a stream that has ended or was destroyed before the first read", async () => {
    const ended = pushed(testBytes(10));
    ended.push(null);
    expectBytes(await collect(new CoalescedReads(ended)), testBytes(10));
    const destroyed = pushed().destroy();
    expect(await errorOf(() => new CoalescedReads(destroyed).next())).toMatchObject({
      code: "ERR_STREAM_PREMATURE_CLOSE",
    });
    const broken = pushed().on("error", () => undefined);
    broken.destroy(new Error("broken"));
    await turn();
    expect((await errorOf(() => new CoalescedReads(broken).next())).message).toBe("broken");
  });

  it("destroys the stream at return, also while a read waits", async () => {
    const stream = pushed();
    const reads = new CoalescedReads(stream);
    const read = reads.next().catch((error: unknown) => error);
    await reads.return();
    expect(stream.destroyed).toBe(true);
    expect(await read).toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("does not start the stream before the first read", async () => {
    const stream = pushed(testBytes(10));
    const reads = new CoalescedReads(stream);
    await turn();
    expect(stream.readableFlowing).toBeNull();
    expectBytes((await reads.next()).value ?? Buffer.alloc(0), testBytes(10));
    await reads.return();
  });
});
