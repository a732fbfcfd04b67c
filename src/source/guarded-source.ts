/** Reads a source so that it can neither hang, nor outlive the transfer it feeds, nor keep others from running. */

import { untilLimits } from "../base/abort.js";
import { shouldYield, yieldToEventLoop } from "../base/event-loop.js";
import { iteratorOf, unawaited } from "../base/iterators.js";
import { isWebStream } from "./shape.js";
import { WebStreamReader } from "./web-stream.js";

/** When reading from a source gives up. */
export interface SourceGuard {
  /** Reading rejects with the reason of this signal once it aborts. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long a read may wait for something that is not empty, in milliseconds; 0 for no limit. Time between
   * reads does not count.
   */
  readonly idleTimeoutMs: number;
  /** The error for a read that took too long. */
  readonly stalled: () => Error;
  /** The error for a source that failed by itself. */
  readonly failed: (cause: unknown) => Error;
}

/**
 * Yields what the source yields, but for empty pieces. When it ends early it tells the source's iterator,
 * without waiting for it: a source that never answers a read would not answer that either.
 */
export async function* guardSource<T>(
  source: AsyncIterable<T> | Iterable<T>,
  guard: SourceGuard,
): AsyncGenerator<T, undefined> {
  const iterator = open(source, guard);
  let ended = false;
  let waitingSince = performance.now();
  let hasLookedAgain = false;
  try {
    while (true) {
      const result = await readOnce(iterator, guard, waitingSince);
      if (result.done) {
        ended = true;
        return undefined;
      }
      if (!isEmpty(result.value)) {
        yield result.value;
        waitingSince = performance.now();
        hasLookedAgain = false;
      } else if (guard.idleTimeoutMs > 0 && performance.now() - waitingSince > guard.idleTimeoutMs) {
        if (hasLookedAgain) throw guard.stalled();
        // After a pause of the process, more may wait to be read behind this.
        hasLookedAgain = true;
        await new Promise(setImmediate);
      }
      if (shouldYield()) await yieldToEventLoop();
    }
  } finally {
    if (!ended) unawaited(() => iterator.return?.());
  }
}

/** Closes a body that may not have been read at all: a Node stream, a web stream or a generator. */
export function closeSource(source: unknown): void {
  unawaited(() => {
    const { destroy, cancel, return: end } = Object(source) as Record<string, unknown>;
    const close = [destroy, cancel, end].find((method) => typeof method === "function");
    return close && Reflect.apply(close as () => unknown, source, []);
  });
}

function open<T>(
  source: AsyncIterable<T> | Iterable<T>,
  { failed }: SourceGuard,
): AsyncIterator<T> | Iterator<T> {
  try {
    // The own iterator of a web stream would not cancel it before a pending read is answered.
    return isWebStream(source)
      ? (new WebStreamReader("body", source) as AsyncIterator<T>)
      : iteratorOf(source);
  } catch (cause) {
    throw failed(cause);
  }
}

function isEmpty(piece: unknown): boolean {
  return piece === "" || (piece instanceof Uint8Array && piece.length === 0);
}

/** So many turns of the microtask queue a read may take without anybody watching it. */
const unwatchedTurns = 8;

/** What a read has come to. */
interface Answer<T> {
  result?: IteratorResult<T>;
  failure?: { readonly cause: unknown };
}

async function readOnce<T>(
  iterator: AsyncIterator<T> | Iterator<T>,
  guard: SourceGuard,
  waitingSince: number,
): Promise<IteratorResult<T>> {
  guard.signal?.throwIfAborted();
  const answer: Answer<T> = {};
  const answered = next(iterator).then(
    (result) => {
      answer.result = result;
    },
    (cause: unknown) => {
      answer.failure = { cause };
    },
  );
  // What a source has at hand comes within a few turns: a timer and a listener would cost more than the read.
  for (let given = 0; given < unwatchedTurns && !isThere(answer); given++) await undefined;
  if (!isThere(answer)) {
    const firstIdleMs = Math.max(0, guard.idleTimeoutMs - (performance.now() - waitingSince));
    await untilLimits({ ...guard, firstIdleMs }, answered);
  }
  guard.signal?.throwIfAborted();
  if (answer.failure) throw guard.failed(answer.failure.cause);
  if (answer.result && Object(answer.result) === answer.result) return answer.result;
  throw guard.failed(new TypeError("its iterator gave no iterator result"));
}

function isThere({ result, failure }: Answer<unknown>): boolean {
  return result !== undefined || failure !== undefined;
}

/** What the iterator answers, also when it throws. */
function next<T>(iterator: AsyncIterator<T> | Iterator<T>): Promise<IteratorResult<T>> {
  try {
    return Promise.resolve(iterator.next());
  } catch (error) {
    return Promise.reject(error);
  }
}
