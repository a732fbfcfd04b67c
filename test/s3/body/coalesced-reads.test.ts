import { PassThrough, Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { CoalescedReads } from "../../../src/s3/body/coalesced-reads.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { errorOf } from "../../support/errors.js";

const kibibyte = 1024;
/** A stream of which nobody asks how fast it comes: it pushes these pieces at once. */
const pushed = (...pieces: Uint8Array[]) => {
  const stream = new Readable({ read() {} });
  for (const piece of pieces) stream.push(piece);
  return stream;
};
const turn = () => new Promise(setImmediate);

describe("Batches", () => {
  it("yields what the stream yields", async () => {
    const bytes = testBytes(3_000_000);
    const stream = Readable.from(cut(bytes, 1, 100_000, 16_384, 7), { objectMode: false });
    expectBytes(await collect(new CoalescedReads(stream)), bytes);
  });

  it("joins the small pieces of one turn, and leaves large ones as they are", async () => {
    const stream = new PassThrough({ highWaterMark: 1024 * kibibyte });
    const batches = new CoalescedReads(stream);
    const first = batches.next();
    const sizes = [16, 16, 16, 64, 1, 1].map((size) => size * kibibyte);
    for (const size of sizes) stream.write(testBytes(size));
    await turn();
    const lengths = [(await first).value?.length];
    for (let left = 0; left < 2; left++) lengths.push((await batches.next()).value?.length);
    expect(lengths).toEqual([48, 64, 2].map((size) => size * kibibyte));
  });

  it("lets no more than 256 KiB and a piece wait", async () => {
    let made = 0;
    const stream = new Readable({
      highWaterMark: 16 * kibibyte,
      read() {
        made += 16 * kibibyte;
        this.push(made < 8192 * kibibyte ? Buffer.alloc(16 * kibibyte) : null);
      },
    });
    const batches = new CoalescedReads(stream);
    await batches.next();
    for (let times = 0; times < 100; times++) await turn();
    expect(made).toBeLessThanOrEqual(2 * (256 + 32) * kibibyte);
    await batches.return();
  });

  it("fails at once when the stream does, whatever waits, and goes on failing", async () => {
    const stream = pushed(testBytes(100));
    const batches = new CoalescedReads(stream);
    expectBytes((await batches.next()).value ?? Buffer.alloc(0), testBytes(100));
    stream.push(testBytes(100));
    await turn();
    stream.destroy(new Error("broken"));
    await turn();
    for (let times = 0; times < 2; times++) {
      expect((await errorOf(() => batches.next())).message).toBe("broken");
    }
  });

  it("tells a stream that closes before its end", async () => {
    const stream = pushed(testBytes(10));
    setImmediate(() => stream.destroy());
    const { error } = await collectUntilError(new CoalescedReads(stream));
    expect(error).toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("reads a stream that ended or was destroyed before", async () => {
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

  it("destroys the stream when the reader stops, also while a read waits", async () => {
    const stream = pushed();
    const batches = new CoalescedReads(stream);
    const read = batches.next().catch((error: unknown) => error);
    await batches.return();
    expect(stream.destroyed).toBe(true);
    expect(await read).toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  it("starts with the first read, not before", async () => {
    const stream = pushed(testBytes(10));
    const batches = new CoalescedReads(stream);
    await turn();
    expect(stream.readableFlowing).toBeNull();
    expectBytes((await batches.next()).value ?? Buffer.alloc(0), testBytes(10));
    await batches.return();
  });
});
