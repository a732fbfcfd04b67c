/**
 * Reads a Node stream of bytes in large pieces: all that has come by the end of a turn of the event loop is one.
 * Over TLS pieces are of 16 KiB at most, and a promise or three for each would take longer than to decrypt it.
 */
import { IncomingMessage } from "node:http";
import { finished, type Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { Condition } from "../../base/condition.js";

/** The stream is paused while so much waits to be taken. */
const maxWaitingBytes = 256 * 1024;
/** Pieces below this are joined. */
const smallBytes = 32 * 1024;

/** Iterates over the bytes of a stream, which it destroys when it is told to stop early. Read by one reader. */
export class CoalescedReads implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #stream: Readable;
  #started = false;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** How the stream has ended, once it has. */
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
    // First: no stream hands out what waits once it has failed.
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
    // Not at once: more of what has arrived already follows in this turn.
    this.#wakingUp = true;
    setImmediate(() => {
      this.#wakingUp = false;
      this.#changed.notify();
    });
  };

  /** One piece, or as many as are small and follow each other: joining costs a copy, which large ones do not need. */
  #take(): Uint8Array {
    const isSmall = (piece: Uint8Array | undefined) => piece !== undefined && piece.length < smallBytes;
    let count = 1;
    if (isSmall(this.#pieces[0])) while (isSmall(this.#pieces[count])) count += 1;
    const [first, ...others] = this.#pieces.splice(0, count);
    const batch = first && others.length === 0 ? first : Buffer.concat(first ? [first, ...others] : []);
    const wasFull = this.#bytes >= maxWaitingBytes;
    this.#bytes -= batch.length;
    if (wasFull && this.#bytes < maxWaitingBytes) this.#stream.resume();
    return batch;
  }
}

/** The bytes of a response's body as they come. */
export function bytesOf(body: unknown): AsyncIterable<Uint8Array> {
  return isOverTls(body) ? new CoalescedReads(body) : ((body ?? []) as AsyncIterable<Uint8Array>);
}

/** Whether a body comes straight from a connection with TLS, and so in small pieces. */
function isOverTls(body: unknown): body is IncomingMessage {
  return body instanceof IncomingMessage && (body.socket as Partial<TLSSocket> | null)?.encrypted === true;
}
