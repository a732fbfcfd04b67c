/** The body that `get` returns: a Node stream of verified plaintext with the methods that the SDK's bodies have. */
import { Readable } from "node:stream";

/** A stream of verified bytes. Read it once, or `destroy()` it to release its connection. */
export interface VerifiedBody extends Readable {
  /** Reads the whole body into memory. Rejects with TypeError when the body has been read already. */
  transformToByteArray(): Promise<Uint8Array>;
  /**
   * Reads the whole body as text, in UTF-8 or in another encoding of Buffer or TextDecoder. Rejects with RangeError for an
   * unknown encoding, and destroys the body.
   */
  transformToString(encoding?: string): Promise<string>;
  /** The same stream as a web stream. Throws TypeError when the body has been read already. */
  transformToWebStream(): ReadableStream<Uint8Array>;
}

/**
 * Makes a body from an iterable of verified plaintext.
 *
 * @param plaintext is read only as fast as the body is read
 */
export function verifiedBody(plaintext: AsyncIterable<Uint8Array>, reading: BodyReading): VerifiedBody {
  return new Body(plaintext, reading);
}

/** How the call that returns a body takes part in its ending. */
export interface BodyReading {
  /** Destroys the body with its reason. */
  readonly signal: AbortSignal;
  /**
   * Called once, when the body has ended or was destroyed, with whether it was read to its end. If it was not, a pending
   * read must end.
   */
  readonly close: (ended: boolean) => void;
  /** Maps an error of the plaintext to that of the body; by default they are the same. */
  readonly failed?: (error: unknown) => unknown;
}

/** Not `Readable.from`, whose `destroy()` waits for a pending read, which may never settle, before it closes anything. */
class Body extends Readable implements VerifiedBody {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  readonly #close: (ended: boolean) => void;
  readonly #failed: (error: unknown) => unknown;
  #transformed = false;

  constructor(
    plaintext: AsyncIterable<Uint8Array>,
    { signal, close, failed = (error) => error }: BodyReading,
  ) {
    super({ highWaterMark: 64 * 1024 });
    this.#pieces = plaintext[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#close = close;
    this.#failed = failed;
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  async transformToByteArray(): Promise<Uint8Array> {
    this.#transform();
    const pieces: Uint8Array[] = [];
    for await (const piece of this) pieces.push(piece as Uint8Array);
    return Uint8Array.from(Buffer.concat(pieces));
  }

  async transformToString(encoding = "utf-8"): Promise<string> {
    let decoder: { decode(bytes: Uint8Array): string } | undefined;
    try {
      if (!Buffer.isEncoding(encoding)) decoder = new TextDecoder(encoding);
    } catch {
      this.destroy();
      throw new RangeError("encoding: expected one that Buffer or TextDecoder knows, got another string");
    }
    const bytes = await this.transformToByteArray();
    return decoder ? decoder.decode(bytes) : Buffer.from(bytes).toString(encoding as BufferEncoding);
  }

  transformToWebStream(): ReadableStream<Uint8Array> {
    this.#transform();
    if (!this.destroyed) return Readable.toWeb(this) as ReadableStream<Uint8Array>;
    // Node 20 and 22 would return a web stream that has ended normally, like that of an empty object.
    const error = this.errored ?? new TypeError("Body: expected one to read, got one that was destroyed");
    return new ReadableStream({ start: (controller) => controller.error(error) });
  }

  override _read(): void {
    // Also catches errors that a "data" listener throws.
    this.#pieces
      .next()
      .then(({ done, value }) => this.push(done ? null : value))
      .catch((error: unknown) => this.destroy(toError(this.#failed(error))));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#close(error === null && this.readableEnded);
    this.#pieces.return?.().catch(() => undefined);
    callback(error);
  }

  readonly #onAbort = (): void => {
    // Without a reader the error must not be uncaught. A later reader receives it.
    if (this.listenerCount("error") === 0) this.once("error", () => undefined);
    this.destroy(toError(this.#signal.reason));
  };

  /** A second read would return no bytes, like an empty object. */
  #transform(): void {
    if (this.#transformed || this.readableDidRead) {
      throw new TypeError("Body: expected one that nobody has read, got one that was read already");
    }
    this.#transformed = true;
  }
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
