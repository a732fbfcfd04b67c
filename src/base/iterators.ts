/** Iterators of either kind, and calls that are not awaited. */

/** The iterator of a source of either kind. */
export function iteratorOf<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}

/** Runs a function and ignores its outcome, which may never come. */
export function unawaited(act: () => unknown): void {
  Promise.resolve()
    .then(act)
    .catch(() => undefined);
}
