/** Collects a body whose size is known in memory that is there already: no promise for each piece of it. */
import { finished, Readable } from "node:stream";
import { limitedWait } from "../../base/abort.js";

/** When collecting gives up. */
export interface CollectGuard {
  /** Collecting rejects with the reason of this signal once it aborts. */
  readonly signal: AbortSignal;
  /** How long no byte may come, in milliseconds; 0 for no limit. */
  readonly idleTimeoutMs: number;
  /** The error for a body that was silent for so long, of which so many bytes had come. */
  readonly stalled: (bytes: number) => Error;
  /** The error for a body that failed by itself. */
  readonly failed: (bytes: number, cause: unknown) => Error;
}

/**
 * Copies a body into the targets, one after the other. Once this has settled, nothing is written there any more.
 *
 * @returns how many bytes came; more than there is room for only says that there was more
 */
export function collect(body: unknown, targets: readonly Uint8Array[], guard: CollectGuard): Promise<number> {
  const { signal, idleTimeoutMs, stalled, failed } = guard;
  const stream = body instanceof Readable ? body : Readable.from((body ?? []) as AsyncIterable<Uint8Array>);
  const room = targets.reduce((sum, { length }) => sum + length, 0);
  let seen = 0;
  const limits = { signal, idleTimeoutMs, stalled: () => stalled(seen) };
  return limitedWait<number>(limits, ({ resolve, reject, refresh }) => {
    const onData = (piece: Uint8Array) => {
      refresh();
      if (!(piece instanceof Uint8Array)) {
        reject(failed(seen, new TypeError("its stream gave something other than bytes")));
        return;
      }
      copy(piece, seen, targets);
      seen += piece.length;
      if (seen > room) resolve(seen);
    };
    const forget = finished(stream, { writable: false }, (cause) =>
      cause ? reject(failed(seen, cause)) : resolve(seen),
    );
    stream.on("data", onData).resume();
    return () => {
      stream.off("data", onData);
      forget();
      // It may still fail, which no longer matters.
      if (!stream.readableEnded) stream.on("error", () => undefined).destroy();
    };
  });
}

/** Copies the bytes that come after `before` others to where they belong. */
function copy(piece: Uint8Array, before: number, targets: readonly Uint8Array[]): void {
  let start = -before;
  for (const target of targets) {
    // Where the target begins in the piece, or how much of it is full, as a negative number.
    const from = Math.max(0, start);
    const to = Math.min(piece.length, start + target.length);
    if (from < to) target.set(piece.subarray(from, to), from - start);
    start += target.length;
  }
}
