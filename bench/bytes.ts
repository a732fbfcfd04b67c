/** Sources and sinks of the benches: memory in pieces, nowhere, and sizes in words. */
import { createHash } from "node:crypto";
import { Readable, Writable } from "node:stream";

export const kibibyte = 1024;
export const mebibyte = 1024 * kibibyte;
export const gibibyte = 1024 * mebibyte;
/** The size of each piece of a source. */
export const sourcePieceBytes = 64 * kibibyte;

/** Sources repeat a block of this size, so that 1 GiB needs no 1 GiB of memory. */
export const blockBytes = 8 * mebibyte;

/** Takes bytes. */
export type Sink = (bytes: Uint8Array) => void;

/** Bytes in pieces. */
export function* piecesOf(bytes: Buffer, pieceBytes: number): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += pieceBytes)
    yield bytes.subarray(start, start + pieceBytes);
}

/** Yields the given number of bytes, by repeating one block. */
export function* repeated(block: Buffer, totalBytes: number, pieceBytes: number): Generator<Buffer> {
  for (let left = totalBytes; left > 0; left -= block.length) {
    yield* piecesOf(left < block.length ? block.subarray(0, left) : block, pieceBytes);
  }
}

/** A stream of bytes out of pieces. */
export function readable(source: Iterable<Uint8Array>): Readable {
  return Readable.from(source, { objectMode: false });
}

/** A stream into a sink. */
export function writable(sink: Sink): Writable {
  return new Writable({
    write: (bytes: Buffer, _encoding, done) => {
      sink(bytes);
      done();
    },
  });
}

/** Takes bytes and does nothing with them. */
export function nowhere(): void {}

/** Reads to the end and does nothing with the bytes. */
export async function drain(source: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of source);
}

/** The SHA-256 of pieces. */
export function sha256(pieces: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const bytes of pieces) hash.update(bytes);
  return hash.digest("hex");
}

/** The SHA-256 of a stream. */
export async function sha256Of(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of source) hash.update(bytes);
  return hash.digest("hex");
}

/** A size in words, for instance "64 KiB". */
export function formatBytes(bytes: number): string {
  const units = [
    [gibibyte, "GiB"],
    [mebibyte, "MiB"],
    [kibibyte, "KiB"],
  ] as const;
  const [unit, name] = units.find(([size]) => bytes >= size && bytes % size === 0) ?? [1, "bytes"];
  return `${bytes / unit} ${name}`;
}
