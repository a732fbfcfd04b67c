/** Reads streams with events, whatever package made them: whole, or with an error. */
import { Readable } from "node:stream";
import { Condition } from "../base/condition.js";
import { EarlyEnd } from "./early-end.js";
import type { NodeStream } from "./shape.js";
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

/** Streams that emit no "close" are asked so often whether they were destroyed, while they are waited for. */
const askAgainMs = 100;

/** Iterates over the pieces of one stream. It listens from the moment it is made, and reads when it is asked. */
export class NodeStreamReader implements AsyncIterator<unknown, undefined> {
  readonly isSingleUse = true;
  readonly #title: string;
  readonly #source: NodeStream;
  /** The caller's stream, or one that wraps it. */
  readonly #stream: NodeStream;
  #failure: { readonly cause: unknown } | undefined;
  #isListening = false;
  #hasEnded = false;
  /** All has come, and the stream has closed if it closes by itself. */
  #isDone = false;
  /** The stream was destroyed; the error, if there is one, is told in this turn of the event loop. */
  #isLost = false;
  readonly #changed = new Condition();

  /**
   * @param title the argument that the stream is, for messages
   * @throws TypeError when the stream cannot be read from where it stands
   */
  constructor(title: string, source: NodeStream) {
    this.#title = title;
    this.#source = source;
    refuseUnreadable(title, source);
    // Also of a stream whose "readable" is passed over: its error must find a listener.
    source.on("error", this.#onError);
    this.#stream = typeof source.read === "function" ? source : wrapped(source);
    if (this.#stream !== source) this.#stream.on("error", this.#onError);
    this.#stream.on("end", this.#onEnd);
    this.#stream.on("close", this.#onClose);
    // At once: it keeps the stream from flowing, when others listen or, at a process's end, Node resumes it.
    if (!isResponseBody(source)) this.#beginToListen();
    // readable-stream 2 does not stop for that alone, and the body of a response is not listened to yet.
    const { flowing } = this.#stream._readableState ?? {};
    if (flowing === null || flowing === true) this.#stream.pause?.();
  }

  /** The next piece. Called again only once it has answered. */
  next(): Promise<IteratorResult<unknown, undefined>> {
    try {
      this.#beginToListen();
      return this.#take() ?? this.#wait();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Destroys the stream, if it has not ended. */
  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Destroys the stream, if it has not ended; what it emits from then on is of no interest. */
  close(): void {
    if (this.#isDone) return;
    this.#fail(new EarlyEnd(this.#title, "was closed by its reader"));
    for (const stream of new Set([this.#stream, this.#source])) {
      const { destroy } = stream as { destroy?: unknown };
      if (typeof destroy === "function") Reflect.apply(destroy, stream, []);
    }
  }

  /** Stops listening to a stream of which nothing was read. */
  release(): void {
    this.#forget();
    this.#source.removeListener("error", this.#onError);
  }

  /** From now on the stream fills its buffer. */
  #beginToListen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#stream.on("readable", this.#onReadable);
  }

  #take(): Promise<IteratorResult<unknown, undefined>> | undefined {
    this.#look();
    if (this.#failure === undefined && !this.#isLost) {
      const value = this.#stream.read?.() ?? null;
      // Reading may have made it fail, and some streams end before this returns their last bytes.
      if (value !== null && this.#failure === undefined && !this.#isLost) return this.#found(value);
    }
    if (this.#failure) throw this.#failure.cause;
    return this.#isDone ? Promise.resolve({ done: true, value: undefined }) : undefined;
  }

  #found(value: unknown): Promise<IteratorResult<unknown, undefined>> {
    if (typeof value === "string" && decodes(this.#stream)) throw textInstead(this.#title);
    return Promise.resolve({ done: false, value });
  }

  async #wait(): Promise<IteratorResult<unknown, undefined>> {
    const asking = announcesClose(this.#stream) ? undefined : setInterval(() => this.#look(), askAgainMs);
    asking?.unref();
    try {
      while (true) {
        await this.#changed.wait();
        const taken = this.#take();
        if (taken) return await taken;
      }
    } finally {
      clearInterval(asking);
    }
  }

  /** Whether nothing more comes. */
  get #isOver(): boolean {
    return this.#isDone || this.#failure !== undefined;
  }

  /** Notices what no event tells. */
  #look(): void {
    if (this.#isOver || this.#hasEnded) return;
    if (isDestroyed(this.#stream)) this.#lose();
    else if (isReadByOthers(this.#stream)) this.#fail(this.#early("is being read by somebody else as well"));
  }

  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    setImmediate(() => this.#fail(errorOf(this.#stream) ?? this.#early("closed before it ended")));
  }

  readonly #onReadable = (): void => this.#changed.notify();

  readonly #onError = (cause: unknown): void => this.#fail(cause);

  readonly #onEnd = (): void => {
    this.#look();
    if (this.#isOver || this.#isLost) return;
    this.#hasEnded = true;
    if (closesByItself(this.#stream)) {
      setImmediate(() => this.#awaitClose());
      return;
    }
    // The reset of a stream of HTTP/2 may follow its end at once.
    if (resetCode(this.#source) !== undefined) setImmediate(() => this.#finish());
    else this.#finish();
  };

  /** Waits for "close", or for what there is of it where none is emitted. */
  #awaitClose(): void {
    if (announcesClose(this.#stream) || this.#isOver) return;
    if (isDestroyed(this.#stream)) setImmediate(() => this.#finish());
    else setTimeout(() => this.#awaitClose(), askAgainMs).unref();
  }

  readonly #onClose = (): void => {
    if (this.#hasEnded) this.#finish();
    else this.#lose();
  };

  /** All that the stream had to give has come: was that all there is? */
  #finish(): void {
    if (this.#isOver) return;
    const error = errorOf(this.#stream) ?? connectionError(this.#source);
    const shortfall = shortfallOf(this.#source);
    if (error !== undefined) this.#fail(error);
    else if (shortfall !== undefined) this.#fail(this.#early(shortfall));
    else this.#succeed();
  }

  #succeed(): void {
    this.#isDone = true;
    this.#forget();
    // A stream that stays open may be written to yet, which is its owner's.
    this.#source.removeListener("error", this.#onError);
    this.#changed.notify();
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return;
    this.#failure = { cause };
    this.#forget();
    this.#changed.notify();
  }

  /** Stops listening, but for errors: a stream that has failed may do so again. */
  #forget(): void {
    this.#stream.removeListener("readable", this.#onReadable);
    this.#stream.removeListener("end", this.#onEnd);
    this.#stream.removeListener("close", this.#onClose);
  }

  #early(what: string): EarlyEnd {
    return new EarlyEnd(this.#title, what);
  }
}

/**
 * A stream of the kind before `read()`: it emits, and may be asked to pause. The wrapper holds 16 pieces, and those that
 * the stream emits although it was asked to pause.
 */
function wrapped(source: NodeStream): NodeStream {
  const stream = new Readable({ objectMode: true, read: () => void source.resume?.() });
  let hasEnded = false;
  source.on("data", (piece) => {
    // A piece of null would be the end.
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
