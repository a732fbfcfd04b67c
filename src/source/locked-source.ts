/** Locks the source that a caller passes to a call, and reads it: either whole, or with an error. */
import { describe } from "../base/arguments.js";
import { iteratorOf, unawaited } from "../base/iterators.js";
import { NodeStreamReader } from "./node-stream.js";
import { isNodeStream, isWebStream } from "./shape.js";
import { WebStreamReader } from "./web-stream.js";

/** A source that is locked for one call, which reads it once. Errors of the source wait until it is read. */
export interface LockedSource extends AsyncIterable<unknown> {
  /** Closes the source, whether it was read or not, without waiting for it. */
  close(): void;
  /** Unlocks a source that was not read at all. */
  release(): void;
}

/** Sources that can be read only once and have been locked: a second reader would get no bytes, or only some. */
const locked = new WeakSet<object>();

/** Whether a value is a Node stream, a web stream or an async iterable. */
export function isAsyncSource(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  return isNodeStream(value) || isWebStream(value) || Symbol.asyncIterator in value;
}

/**
 * Locks a source for reading. From then on, no bytes of it are lost, and only its reader receives its errors.
 *
 * @param title the argument's name, for messages
 * @param source a Node stream, a web stream, an async iterable or an iterable
 * @returns its pieces, of whatever type. Reading rejects with the source's own error, or with `SOURCE_FAILED` when the
 *   source closes, or reports that it was cut off, before its end.
 * @throws TypeError when the source was locked before, has ended, failed or been destroyed, or when other code reads it
 */
export function lockSource(title: string, source: object): LockedSource {
  if (locked.has(source)) {
    throw new TypeError(
      `${title}: expected a source that can still be read, got ${describe(source)} that an earlier call has read`,
    );
  }
  const reader = readerOf(title, source);
  if (reader.isSingleUse) locked.add(source);
  return {
    [Symbol.asyncIterator]: () => reader,
    close: () => reader.close(),
    release() {
      locked.delete(source);
      reader.release();
    },
  };
}

interface Reader extends AsyncIterator<unknown> {
  /** Whether a second reader of the source would get other pieces. */
  readonly isSingleUse: boolean;
  close(): void;
  release(): void;
}

function readerOf(title: string, source: object): Reader {
  if (isNodeStream(source)) return new NodeStreamReader(title, source);
  if (isWebStream(source)) return new WebStreamReader(title, source);
  return new IterableReader(source as AsyncIterable<unknown> | Iterable<unknown>);
}

/** Passes on the results of an iterator, and closes it once. */
class IterableReader implements Reader {
  readonly isSingleUse: boolean;
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>;
  #ended = false;

  /** Creates the iterator at once, because the iterator of an event emitter keeps the events that are emitted before a read. */
  constructor(source: AsyncIterable<unknown> | Iterable<unknown>) {
    this.#iterator = iteratorOrFailure(source);
    this.isSingleUse = (this.#iterator as unknown) === source;
  }

  async next(): Promise<IteratorResult<unknown>> {
    try {
      const result = await this.#iterator.next();
      if ((Object(result) as { done?: unknown }).done) this.#ended = true;
      return result;
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }

  async return(): Promise<IteratorResult<unknown>> {
    if (!this.#ended) {
      this.#ended = true;
      await this.#iterator.return?.();
    }
    return { done: true, value: undefined };
  }

  close(): void {
    unawaited(() => this.return());
  }

  release(): void {}
}

/** The iterator of a source; if it cannot be created, one that rejects with the error. */
function iteratorOrFailure<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  try {
    return iteratorOf(source);
  } catch (error) {
    return { next: () => Promise.reject(error) };
  }
}
