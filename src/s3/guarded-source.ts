/** Reads an async source so that it can neither hang nor outlive the transfer it feeds. */

/** When reading from a source gives up. */
export interface SourceGuard {
  /** Reading rejects with the reason of this signal once it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** How long one read may take, in milliseconds; 0 for no limit. Time between reads does not count. */
  readonly idleTimeoutMs: number;
  /** The error for a read that took too long. */
  readonly stalled: () => Error;
  /** The error for a source that failed by itself. */
  readonly failed: (cause: unknown) => Error;
}

/**
 * Yields what the source yields. When it ends early it tells the source's iterator, without waiting for it: a
 * source that never answers a read would not answer that either.
 */
export async function* guardSource<T>(
  source: AsyncIterable<T> | Iterable<T>,
  guard: SourceGuard,
): AsyncGenerator<T, undefined> {
  const iterator =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let ended = false;
  try {
    while (true) {
      const result = await readOnce(iterator, guard);
      if (result.done) {
        ended = true;
        return undefined;
      }
      yield result.value;
    }
  } finally {
    if (!ended) unawaited(() => iterator.return?.());
  }
}

/** Closes a source that may not have been read at all: a Node stream, a web stream or a generator. */
export function closeSource(source: unknown): void {
  const { destroy, cancel, return: end } = Object(source) as Record<string, unknown>;
  const close = [destroy, cancel, end].find((method) => typeof method === "function");
  if (close) unawaited(() => Reflect.apply(close as () => unknown, source, []));
}

function unawaited(act: () => unknown): void {
  Promise.resolve()
    .then(act)
    .catch(() => undefined);
}

async function readOnce<T>(
  iterator: AsyncIterator<T> | Iterator<T>,
  { signal, idleTimeoutMs, stalled, failed }: SourceGuard,
): Promise<IteratorResult<T>> {
  signal?.throwIfAborted();
  return new Promise<IteratorResult<T>>((resolve, reject) => {
    const onAbort = () => settle(() => reject(signal?.reason));
    const timer =
      idleTimeoutMs > 0 ? setTimeout(() => settle(() => reject(stalled())), idleTimeoutMs) : undefined;
    const settle = (act: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      act();
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    Promise.resolve()
      .then(() => iterator.next())
      .then(
        (result) => settle(() => resolve(result)),
        (cause: unknown) => settle(() => reject(failed(cause))),
      );
  });
}
