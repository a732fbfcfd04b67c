/** The body that `get` returns: a Node stream of verified plaintext with the methods that the SDK's bodies have. */
import { Readable } from "node:stream";

/** A stream of verified bytes. Read it once, or `destroy()` it to let go of the connection. */
export interface VerifiedBody extends Readable {
  /** Reads all and returns the bytes. Rejects with TypeError when the body has been read already. */
  transformToByteArray(): Promise<Uint8Array>;
  /**
   * Reads all and returns text; UTF-8 unless an encoding of Buffer or of TextDecoder is named.
   * Rejects with RangeError, and the body is destroyed, when neither knows it.
   */
  transformToString(encoding?: string): Promise<string>;
  /** The same stream as a web stream. Throws TypeError when the body has been read already. */
  transformToWebStream(): ReadableStream<Uint8Array>;
}

/**
 * Makes a body of an iterable of verified plaintext.
 *
 * @param plaintext read only as fast as the body is
 */
export function verifiedBody(plaintext: AsyncIterable<Uint8Array>, reading: BodyReading): VerifiedBody {
  return new Body(plaintext, reading);
}

/** What a body is read with. */
export interface BodyReading {
  /** Destroys the body with its reason. */
  readonly signal: AbortSignal;
  /**
   * Called once when the body has ended or was destroyed, read or not, with whether it was read to its end; if it was
   * not, must end a pending read.
   */
  readonly close: (ended: boolean) => void;
  /** What the body is destroyed with for an error of the plaintext's; that itself by default. */
  readonly failed?: (error: unknown) => unknown;
}

/** Not `Readable.from`, whose `destroy()` waits for a read that may never be answered before it closes anything. */
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
    // Node 20 and 22 would make a web stream of it that has ended normally, as an empty object's does.
    const error = this.errored ?? new TypeError("Body: expected one to read, got one that was destroyed");
    return new ReadableStream({ start: (controller) => controller.error(error) });
  }

  override _read(): void {
    // Also catches what a "data" listener throws.
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
    // Nobody reads it yet: the error must not be an uncaught one, and waits for whoever reads it later.
    if (this.listenerCount("error") === 0) this.once("error", () => undefined);
    this.destroy(toError(this.#signal.reason));
  };

  /** A second reading would give no bytes, and look like an empty object. */
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
