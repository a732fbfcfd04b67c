/** Reads an object that has to be small into memory. */
import type { ObjectResponse } from "./object-response.js";

/** Reads no further than such an object can go, whatever the store sends. */
export async function readSmall(
  { output, read }: ObjectResponse,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of read(0, output.ContentLength)) {
    bytes += piece.length;
    if (bytes > maxBytes) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
