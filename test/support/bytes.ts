/** Bytes for tests: deterministic, so that a failure can be repeated. */
import { createCipheriv } from "node:crypto";

/** Pseudo-random bytes that depend on the length and the seed alone. */
export function testBytes(length: number, seed = 0): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(seed);
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), iv).update(Buffer.alloc(length));
}

/** Concatenates the pieces of an iterable. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Cuts bytes into pieces of the given lengths, and repeats the last length. */
export function* cut(bytes: Uint8Array, ...lengths: number[]): Generator<Uint8Array> {
  let start = 0;
  for (let piece = 0; start < bytes.length; piece++) {
    const length = lengths[Math.min(piece, lengths.length - 1)] ?? bytes.length;
    yield bytes.subarray(start, start + length);
    start += length;
  }
}

/** The bytes that an iterable yields before it fails, and its error. */
export async function collectUntilError(
  source: AsyncIterable<Uint8Array>,
): Promise<{ released: Buffer; error: unknown }> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of source) pieces.push(piece);
  } catch (error) {
    return { released: Buffer.concat(pieces), error };
  }
  return { released: Buffer.concat(pieces), error: undefined };
}

/** Asserts that bytes are equal. Much faster than `toEqual` on large buffers. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  const where = at < 0 ? "one is a prefix of the other" : `they first differ at ${at}`;
  throw new Error(`expected ${expected.length} bytes, got ${actual.length}; ${where}`);
}
