/** Works on many things of one transfer, so many at a time. */

/** All work has ended when this settles. Rejects with the first failure, with which it ends the transfer. */
export async function forEachConcurrently<T>(
  items: Iterable<T>,
  atOnce: number,
  transfer: { readonly signal: AbortSignal; readonly abort: (reason: unknown) => void },
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const lane = async () => {
    for (let next = rest.next(); !next.done; next = rest.next()) {
      transfer.signal.throwIfAborted();
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, () => lane().catch(transfer.abort)));
  transfer.signal.throwIfAborted();
}
