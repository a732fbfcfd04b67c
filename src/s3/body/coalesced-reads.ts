/**
 * Reads a Node stream of bytes in large pieces, one for each turn of the event loop. Over TLS the pieces of the stream have
 * at most 16 KiB, and the promises for each would take longer than decrypting it.
 */
import { IncomingMessage } from "node:http";
import { finished, type Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { Condition } from "../../base/condition.js";

/** The stream is paused while this many bytes wait to be read. */
const maxWaitingBytes = 256 * 1024;
/** Smaller pieces are joined. */
const smallBytes = 32 * 1024;

/** Iterates over the bytes of a stream, for one reader. `return` destroys the stream. */
export class CoalescedReads implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #stream: Readable;
  #started = false;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** The end of the stream, after it has ended. */
  #end: { readonly error: Error | null | undefined } | undefined;
  readonly #changed = new Condition();
  #wakingUp = false;

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#started) this.#start();
    while (this.#pieces.length === 0 && !this.#end) await this.#changed.wait();
    // First: a stream that has failed yields nothing that still waits.
    if (this.#end?.error) throw this.#end.error;
    if (this.#pieces.length > 0) return { done: false, value: this.#take() };
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#stream.destroy();
    return { done: true, value: undefined };
  }

  #start(): void {
    this.#started = true;
    finished(this.#stream, { writable: false }, (error) => {
      this.#end = { error };
      this.#changed.notify();
    });
    this.#stream.on("data", this.#onData).resume();
  }

  #onData = (piece: Uint8Array): void => {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= maxWaitingBytes) this.#stream.pause();
    if (this.#wakingUp) return;
    // Later: more bytes that have arrived follow in this turn.
    this.#wakingUp = true;
    setImmediate(() => {
      this.#wakingUp = false;
      this.#changed.notify();
    });
  };

  /** One large piece, or consecutive small ones joined: large ones are not worth the copy. */
  #take(): Uint8Array {
    const isSmall = (piece: Uint8Array | undefined) => piece !== undefined && piece.length < smallBytes;
    let count = 1;
    if (isSmall(this.#pieces[0])) while (isSmall(this.#pieces[count])) count += 1;
    const [first, ...others] = this.#pieces.splice(0, count);
    const piece = first && others.length === 0 ? first : Buffer.concat(first ? [first, ...others] : []);
    const wasFull = this.#bytes >= maxWaitingBytes;
    this.#bytes -= piece.length;
    if (wasFull && this.#bytes < maxWaitingBytes) this.#stream.resume();
    return piece;
  }
}

/** The bytes of a body as they arrive. */
export function piecesOf(body: unknown): AsyncIterable<Uint8Array> {
  return isOverTls(body) ? new CoalescedReads(body) : ((body ?? []) as AsyncIterable<Uint8Array>);
}

/** Whether a body comes straight from a TLS connection, and so in small pieces. */
function isOverTls(body: unknown): body is IncomingMessage {
  return body instanceof IncomingMessage && (body.socket as Partial<TLSSocket> | null)?.encrypted === true;
}
