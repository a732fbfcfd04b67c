/** Reads exact numbers of bytes from a source, and closes the source when it has ended, has failed or is aborted. */

import { onAbort, untilAborted } from "../base/abort.js";
import { wrongType } from "../base/arguments.js";
import { EnvelopeError } from "../base/errors.js";
import type { ByteSource } from "../cobblestone/stream/message.js";
import { isAsyncSource, type LockedSource, lockSource } from "../source/locked-source.js";
import { bytesOf } from "../source/shape.js";
import { EarlyEnd } from "../source/source-error.js";

/** A reader of a source. It holds the bytes of the current read and one piece of the source. */
export class ExactReader {
  readonly #source: LockedSource;
  readonly #iterator: AsyncIterator<unknown>;
  readonly #signal: AbortSignal | undefined;
  readonly #forget: (() => void) | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #takenBytes = 0;
  #isOver = false;

  /** @throws TypeError when the source is not a source of bytes, or can no longer be read */
  constructor(source: ByteSource, signal: AbortSignal | undefined) {
    this.#source = open(source);
    this.#iterator = this.#source[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#forget = signal && onAbort(signal, () => this.close());
  }

  /** The number of bytes read so far. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /**
   * Reads exactly `length` bytes. They may share memory with the source.
   *
   * @throws EnvelopeError `BODY_TRUNCATED` when the source ends before; `SOURCE_FAILED`
   */
  async take(length: number): Promise<Buffer> {
    // Grows with the bytes received: neither a length that a message states nor small pieces make it large.
    let held: Buffer = Buffer.alloc(0);
    let filled = 0;
    for (;;) {
      const piece = this.#rest.subarray(0, length - filled);
      this.#rest = this.#rest.subarray(piece.length);
      this.#takenBytes += piece.length;
      if (piece.length === length) return Buffer.from(piece.buffer, piece.byteOffset, length);
      held = roomFor(held, filled, piece.length, length);
      held.set(piece, filled);
      filled += piece.length;
      if (filled === length) return held.subarray(0, length);
      if (!(await this.#fill())) throw this.#truncated();
    }
  }

  /** Whether the source has ended. */
  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#fill());
  }

  /** Closes the source without waiting for it: a source that does not respond to a read would not respond to this either. */
  close(): void {
    this.#forget?.();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.close();
  }

  /** Reads the next piece that is not empty. Resolves to false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      this.#signal?.throwIfAborted();
      if (this.#isOver) return false;
      const result = await this.#read();
      if (result.done) {
        this.#isOver = true;
        return false;
      }
      const bytes = bytesOf(result.value);
      if (!bytes) throw wrongType("source: each piece", "a Uint8Array", result.value);
      this.#rest = bytes;
    }
    return true;
  }

  async #read(): Promise<IteratorResult<unknown>> {
    try {
      const next = (async () => this.#iterator.next())();
      return await (this.#signal ? untilAborted(this.#signal, next) : next);
    } catch (cause) {
      this.#signal?.throwIfAborted();
      // A source that failed by itself is closed already.
      this.#isOver = true;
      const details = { bytesRead: this.#takenBytes };
      if (cause instanceof EarlyEnd) throw new EnvelopeError("SOURCE_FAILED", cause.message, { details });
      if (cause instanceof EnvelopeError) throw cause;
      const message = "source: the stream failed; see the cause";
      throw new EnvelopeError("SOURCE_FAILED", message, { cause, details });
    }
  }

  #truncated(): EnvelopeError {
    return new EnvelopeError("BODY_TRUNCATED", "the source ended before the end of the message", {
      details: { bytesRead: this.#takenBytes },
    });
  }
}

/** Returns the buffer, or a larger copy of its first `filled` bytes with room for `more`, of at most `most` bytes. */
export function roomFor(held: Buffer, filled: number, more: number, most: number): Buffer {
  if (filled + more <= held.length) return held;
  const larger = Buffer.allocUnsafeSlow(Math.min(most, 2 * (filled + more)));
  held.copy(larger, 0, 0, filled);
  return larger;
}

function open(source: unknown): LockedSource {
  const bytes = bytesOf(source);
  if (bytes) return lockSource("source", [bytes]);
  const isIterable = typeof source === "object" && source !== null && Symbol.iterator in source;
  if (isAsyncSource(source) || isIterable) return lockSource("source", source);
  throw wrongType("source", "a Uint8Array or an iterable of them", source);
}
