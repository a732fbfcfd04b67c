/** The gate that every source of a caller's passes: it comes whole, or it is an error. */
import { describe } from "../base/arguments.js";
import { iteratorOf, unawaited } from "../base/iterators.js";
import { NodeStreamReader } from "./node-stream.js";
import { isNodeStream, isWebStream } from "./shape.js";
import { WebStreamReader } from "./web-stream.js";

/** A source that has been taken: its errors are heard, and nobody else can take it. It is read once. */
export interface TakenSource extends AsyncIterable<unknown> {
  /** Ends the source, read or not, without waiting for it. */
  close(): void;
  /** Gives back a source of which nothing was read. */
  release(): void;
}

/** Sources that can be read only once and were taken: read again, they would give nothing, or the rest. */
const taken = new WeakSet<object>();

/** Whether a value can be taken: a Node stream, a web stream or an async iterable. */
export function isAsyncSource(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  return isNodeStream(value) || isWebStream(value) || Symbol.asyncIterator in value;
}

/**
 * Takes a source for reading. From now on what it emits is not lost, and its failures are told by reading alone.
 *
 * @param title the argument that the source is, for messages
 * @param source a Node stream, a web stream, an async iterable or an iterable
 * @returns its pieces, whatever they are. Reading rejects with the source's own error, or with `SOURCE_FAILED` when it
 *   closes, or says that it was cut off, before it has come whole.
 * @throws TypeError when it was taken before, has ended, failed or was destroyed, or when somebody else reads it
 */
export function takeSource(title: string, source: object): TakenSource {
  if (taken.has(source)) {
    throw new TypeError(
      `${title}: expected a source that can still be read, got ${describe(source)} that an earlier call has taken`,
    );
  }
  const reader = readerOf(title, source);
  if (reader.isSingleUse) taken.add(source);
  return {
    [Symbol.asyncIterator]: () => reader,
    close: () => reader.close(),
    release() {
      taken.delete(source);
      reader.release();
    },
  };
}

interface Reader extends AsyncIterator<unknown> {
  /** Whether a second reading of the source would give something else. */
  readonly isSingleUse: boolean;
  close(): void;
  release(): void;
}

function readerOf(title: string, source: object): Reader {
  if (isNodeStream(source)) return new NodeStreamReader(title, source);
  if (isWebStream(source)) return new WebStreamReader(title, source);
  return new IterableReader(source as AsyncIterable<unknown> | Iterable<unknown>);
}

/** Passes on what an iterator answers, and closes it once. */
class IterableReader implements Reader {
  readonly isSingleUse: boolean;
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>;
  #isOver = false;

  /** Makes the iterator at once: what emits as soon as it was made has its iterator keep what comes. */
  constructor(source: AsyncIterable<unknown> | Iterable<unknown>) {
    this.#iterator = opened(source);
    this.isSingleUse = (this.#iterator as unknown) === source;
  }

  async next(): Promise<IteratorResult<unknown>> {
    try {
      const result = await this.#iterator.next();
      if ((Object(result) as { done?: unknown }).done) this.#isOver = true;
      return result;
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
  }

  async return(): Promise<IteratorResult<unknown>> {
    if (!this.#isOver) {
      this.#isOver = true;
      await this.#iterator.return?.();
    }
    return { done: true, value: undefined };
  }

  close(): void {
    unawaited(() => this.return());
  }

  release(): void {}
}

/** The iterator of a source; one that fails if it cannot be made. */
function opened<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  try {
    return iteratorOf(source);
  } catch (error) {
    return { next: () => Promise.reject(error) };
  }
}
