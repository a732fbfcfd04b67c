/** Reads a source with a time limit and a signal, and without blocking the event loop. */

import { untilLimits } from "../base/abort.js";
import { shouldYield, yieldToEventLoop } from "../base/event-loop.js";
import { iteratorOf, unawaited } from "../base/iterators.js";
import { isWebStream } from "./shape.js";
import { WebStreamReader } from "./web-stream.js";

/** The limits of a read, and the errors for them. */
export interface SourceGuard {
  /** Reading rejects with the reason of this signal once it aborts. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long a read may wait for a piece that is not empty, in milliseconds; 0 for no limit. Time between reads does not
   * count.
   */
  readonly idleTimeoutMs: number;
  /** The error for a read that took too long. */
  readonly stalled: () => Error;
  /** The error for a source that failed. */
  readonly failed: (cause: unknown) => Error;
}

/**
 * Yields the pieces of the source that are not empty. When it ends early it closes the source's iterator without awaiting
 * that, because a source that never settles a read would not settle that either.
 */
export async function* guardSource<T>(
  source: AsyncIterable<T> | Iterable<T>,
  guard: SourceGuard,
): AsyncGenerator<T, undefined> {
  const iterator = open(source, guard);
  let ended = false;
  let waitingSince = performance.now();
  let hasRetried = false;
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
        hasRetried = false;
      } else if (guard.idleTimeoutMs > 0 && performance.now() - waitingSince > guard.idleTimeoutMs) {
        if (hasRetried) throw guard.stalled();
        // After a pause of the process, more pieces may be available behind this one.
        hasRetried = true;
        await new Promise(setImmediate);
      }
      if (shouldYield()) await yieldToEventLoop();
    }
  } finally {
    if (!ended) unawaited(() => iterator.return?.());
  }
}

/** Closes a body, whether it was read or not: a Node stream, a web stream or a generator. */
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
    // The iterator of a web stream would not cancel it before a pending read settles.
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

/** A read may take this many turns of the microtask queue before limits are set up for it. */
const freeTurns = 8;

/** The outcome of a read, once there is one. */
interface Outcome<T> {
  result?: IteratorResult<T>;
  failure?: { readonly cause: unknown };
}

async function readOnce<T>(
  iterator: AsyncIterator<T> | Iterator<T>,
  guard: SourceGuard,
  waitingSince: number,
): Promise<IteratorResult<T>> {
  guard.signal?.throwIfAborted();
  const outcome: Outcome<T> = {};
  const settled = next(iterator).then(
    (result) => {
      outcome.result = result;
    },
    (cause: unknown) => {
      outcome.failure = { cause };
    },
  );
  // Available pieces arrive within a few turns; a timer and a listener would cost more than the read.
  for (let turn = 0; turn < freeTurns && !isSettled(outcome); turn++) await undefined;
  if (!isSettled(outcome)) {
    const firstIdleMs = Math.max(0, guard.idleTimeoutMs - (performance.now() - waitingSince));
    await untilLimits({ ...guard, firstIdleMs }, settled);
  }
  guard.signal?.throwIfAborted();
  if (outcome.failure) throw guard.failed(outcome.failure.cause);
  if (outcome.result && Object(outcome.result) === outcome.result) return outcome.result;
  throw guard.failed(new TypeError("its iterator returned no iterator result"));
}

function isSettled({ result, failure }: Outcome<unknown>): boolean {
  return result !== undefined || failure !== undefined;
}

/** The result of the iterator; a rejection if it throws. */
function next<T>(iterator: AsyncIterator<T> | Iterator<T>): Promise<IteratorResult<T>> {
  try {
    return Promise.resolve(iterator.next());
  } catch (error) {
    return Promise.reject(error);
  }
}
