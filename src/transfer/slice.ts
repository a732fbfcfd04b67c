/** A range of the bytes that an iterable yields. */

/** Yields `length` bytes after the first `skip`. Reads the rest to its end, as it may end with an error. */
export async function* slice(
  pieces: AsyncIterable<Uint8Array>,
  skip: number,
  length: number,
): AsyncGenerator<Uint8Array, undefined> {
  let before = skip;
  let left = length;
  for await (const piece of pieces) {
    const wanted = piece.subarray(before, before + left);
    before = Math.max(0, before - piece.length);
    left -= wanted.length;
    if (wanted.length > 0) yield wanted;
  }
  return undefined;
}
