/** Runs tasks with bounded concurrency. */
import { iteratorOf, unawaited } from "./iterators.js";

/**
 * Runs `work` for each item, for at most `limit` items at a time, and asks for an item only when it can begin with it.
 * The first failure aborts the call, so that no further item begins.
 *
 * @param items an async iterable must itself end when the call is aborted
 * @throws the reason of the call's signal, once all work that had begun is over
 */
export async function forEachConcurrently<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  call: { readonly signal: AbortSignal; readonly abort: (reason: unknown) => void },
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = iteratorOf(items);
  const worker = async () => {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      call.signal.throwIfAborted();
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: limit }, () => worker().catch(call.abort)));
  // Not awaited: a source that never settles a read would not settle this either.
  if (call.signal.aborted) unawaited(() => iterator.return?.());
  call.signal.throwIfAborted();
}
