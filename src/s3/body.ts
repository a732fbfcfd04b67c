/** The body that `get` returns: a Node stream of verified plaintext with the methods that the SDK's bodies have. */
import { finished, Readable } from "node:stream";

/** A stream of verified bytes. Read it once, or `destroy()` it to let go of the connection. */
export interface VerifiedBody extends Readable {
  /** Reads all and returns the bytes. */
  transformToByteArray(): Promise<Uint8Array>;
  /** Reads all and returns text; UTF-8 unless an encoding of TextDecoder, or "base64" or "hex", is named. */
  transformToString(encoding?: string): Promise<string>;
  /** The same stream as a web stream. */
  transformToWebStream(): ReadableStream<Uint8Array>;
}

/**
 * Makes a body of an iterable of verified plaintext.
 *
 * @param plaintext read only as fast as the body is
 * @param signal destroys the body with its reason
 * @param close called once when the body has ended or was destroyed, read or not
 */
export function verifiedBody(
  plaintext: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  close: () => void,
): VerifiedBody {
  const stream = Readable.from(plaintext, { objectMode: false, highWaterMark: 64 * 1024 });
  const onAbort = () => {
    // Nobody reads it yet: the error must not be an uncaught one, and waits for whoever reads it later.
    if (stream.listenerCount("error") === 0) stream.once("error", () => undefined);
    stream.destroy(toError(signal?.reason));
  };
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort, { once: true });
  finished(stream, () => {
    signal?.removeEventListener("abort", onAbort);
    close();
  });
  const transformToByteArray = async () => {
    const pieces: Uint8Array[] = [];
    for await (const piece of stream) pieces.push(piece as Uint8Array);
    return Uint8Array.from(Buffer.concat(pieces));
  };
  return Object.assign(stream, {
    transformToByteArray,
    transformToString: async (encoding = "utf-8") => decode(await transformToByteArray(), encoding),
    transformToWebStream: () => Readable.toWeb(stream) as ReadableStream<Uint8Array>,
  });
}

function decode(bytes: Uint8Array, encoding: string): string {
  if (encoding === "base64" || encoding === "hex") return Buffer.from(bytes).toString(encoding);
  return new TextDecoder(encoding).decode(bytes);
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
