/** Reads streams with events, whatever package created them: either whole, or with an error. */
import { Readable } from "node:stream";
import { Condition } from "../base/condition.js";
import type { NodeStream } from "./shape.js";
import { EarlyEnd } from "./source-error.js";
import {
  announcesClose,
  closesByItself,
  connectionError,
  decodes,
  errorOf,
  isDestroyed,
  isReadByOthers,
  isResponseBody,
  refuseUnreadable,
  resetCode,
  shortfallOf,
  textInstead,
} from "./stream-state.js";

/** How often the state of a stream that emits no "close" is checked during a read, in milliseconds. */
const pollMs = 100;

/** Iterates over the pieces of one stream. The constructor adds the listeners; `next` reads. */
export class NodeStreamReader implements AsyncIterator<unknown, undefined> {
  readonly isSingleUse = true;
  readonly #title: string;
  readonly #source: NodeStream;
  /** The caller's stream, or one that wraps it. */
  readonly #stream: NodeStream;
  #failure: { readonly cause: unknown } | undefined;
  #isListening = false;
  #hasEnded = false;
  /** All bytes were read, and a stream that closes by itself has closed. */
  #isDone = false;
  /** The stream was destroyed. Its error, if there is one, arrives in this turn of the event loop. */
  #wasDestroyed = false;
  readonly #changed = new Condition();

  /**
   * @param title the argument's name, for messages
   * @throws TypeError when a reader would not get all bytes of the stream
   */
  constructor(title: string, source: NodeStream) {
    this.#title = title;
    this.#source = source;
    refuseUnreadable(title, source);
    // Before anything else, so that an error always finds a listener.
    source.on("error", this.#onError);
    this.#stream = typeof source.read === "function" ? source : wrapped(source);
    if (this.#stream !== source) this.#stream.on("error", this.#onError);
    this.#stream.on("end", this.#onEnd);
    this.#stream.on("close", this.#onClose);
    // At once, because this keeps the stream paused when other code adds listeners, or when Node resumes it at the end of
    // the process.
    if (!isResponseBody(source)) this.#fillBuffer();
    // readable-stream 2 needs this as well, and so does the body of a response, which has no such listener yet.
    const { flowing } = this.#stream._readableState ?? {};
    if (flowing === null || flowing === true) this.#stream.pause?.();
  }

  /** The next piece. Must not be called again before it has settled. */
  next(): Promise<IteratorResult<unknown, undefined>> {
    try {
      this.#fillBuffer();
      return this.#tryRead() ?? this.#wait();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Destroys the stream, if it has not ended. */
  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Destroys the stream, if it has not ended, and ignores its later events. */
  close(): void {
    if (this.#isDone) return;
    this.#fail(new EarlyEnd(this.#title, "was closed by its reader"));
    for (const stream of new Set([this.#stream, this.#source])) {
      const { destroy } = stream as { destroy?: unknown };
      if (typeof destroy === "function") Reflect.apply(destroy, stream, []);
    }
  }

  /** Removes the listeners of a stream that was not read at all. */
  release(): void {
    this.#removeListeners();
    this.#source.removeListener("error", this.#onError);
  }

  /** Adds the listener that lets the stream fill its buffer. */
  #fillBuffer(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#stream.on("readable", this.#onReadable);
  }

  #tryRead(): Promise<IteratorResult<unknown, undefined>> | undefined {
    this.#checkState();
    if (this.#failure === undefined && !this.#wasDestroyed) {
      const value = this.#stream.read?.() ?? null;
      // The read may have made the stream fail, and some streams end before it returns their last bytes.
      if (value !== null && this.#failure === undefined && !this.#wasDestroyed) return this.#pieceOf(value);
    }
    if (this.#failure) throw this.#failure.cause;
    return this.#isDone ? Promise.resolve({ done: true, value: undefined }) : undefined;
  }

  #pieceOf(value: unknown): Promise<IteratorResult<unknown, undefined>> {
    if (typeof value === "string" && decodes(this.#stream)) throw textInstead(this.#title);
    return Promise.resolve({ done: false, value });
  }

  async #wait(): Promise<IteratorResult<unknown, undefined>> {
    const polling = announcesClose(this.#stream) ? undefined : setInterval(() => this.#checkState(), pollMs);
    polling?.unref();
    try {
      while (true) {
        await this.#changed.wait();
        const result = this.#tryRead();
        if (result) return await result;
      }
    } finally {
      clearInterval(polling);
    }
  }

  /** Whether the outcome is known. */
  get #isOver(): boolean {
    return this.#isDone || this.#failure !== undefined;
  }

  /** Detects changes of state that no event reports. */
  #checkState(): void {
    if (this.#isOver || this.#hasEnded) return;
    if (isDestroyed(this.#stream)) this.#failSoon();
    else if (isReadByOthers(this.#stream))
      this.#fail(this.#endedEarly("is being read by other code as well"));
  }

  #failSoon(): void {
    if (this.#wasDestroyed) return;
    this.#wasDestroyed = true;
    setImmediate(() => this.#fail(errorOf(this.#stream) ?? this.#endedEarly("closed before it ended")));
  }

  readonly #onReadable = (): void => this.#changed.notify();

  readonly #onError = (cause: unknown): void => this.#fail(cause);

  readonly #onEnd = (): void => {
    this.#checkState();
    if (this.#isOver || this.#wasDestroyed) return;
    this.#hasEnded = true;
    if (closesByItself(this.#stream)) {
      setImmediate(() => this.#awaitClose());
      return;
    }
    // An HTTP/2 stream may be reset immediately after its end.
    if (resetCode(this.#source) !== undefined) setImmediate(() => this.#finish());
    else this.#finish();
  };

  /** Waits for "close" or, if the stream does not emit it, for the stream to be destroyed. */
  #awaitClose(): void {
    if (announcesClose(this.#stream) || this.#isOver) return;
    if (isDestroyed(this.#stream)) setImmediate(() => this.#finish());
    else setTimeout(() => this.#awaitClose(), pollMs).unref();
  }

  readonly #onClose = (): void => {
    if (this.#hasEnded) this.#finish();
    else this.#failSoon();
  };

  /** Checks, after the end of the stream, whether bytes are missing. */
  #finish(): void {
    if (this.#isOver) return;
    const error = errorOf(this.#stream) ?? connectionError(this.#source);
    const shortfall = shortfallOf(this.#source);
    if (error !== undefined) this.#fail(error);
    else if (shortfall !== undefined) this.#fail(this.#endedEarly(shortfall));
    else this.#succeed();
  }

  #succeed(): void {
    this.#isDone = true;
    this.#removeListeners();
    // A duplex stream stays open for writing, and its errors then belong to its owner.
    this.#source.removeListener("error", this.#onError);
    this.#changed.notify();
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return;
    this.#failure = { cause };
    this.#removeListeners();
    this.#changed.notify();
  }

  /** Removes all listeners but those for errors, because a stream that has failed may emit another error. */
  #removeListeners(): void {
    this.#stream.removeListener("readable", this.#onReadable);
    this.#stream.removeListener("end", this.#onEnd);
    this.#stream.removeListener("close", this.#onClose);
  }

  #endedEarly(what: string): EarlyEnd {
    return new EarlyEnd(this.#title, what);
  }
}

/**
 * Wraps a stream of the old style without `read()`, which emits "data" and can be paused. The wrapper holds 16 pieces, and
 * those that the stream emits although it was paused.
 */
function wrapped(source: NodeStream): NodeStream {
  const stream = new Readable({ objectMode: true, read: () => void source.resume?.() });
  let hasEnded = false;
  source.on("data", (piece) => {
    // Pushing null would end the stream.
    if (!stream.push(piece ?? false)) source.pause?.();
  });
  source.on("end", () => {
    hasEnded = true;
    stream.push(null);
  });
  source.on("close", () => {
    if (!hasEnded) stream.destroy();
  });
  source.on("error", (error) => {
    stream.destroy(error as Error);
  });
  return stream as NodeStream;
}
