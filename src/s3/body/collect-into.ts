/** Reads a body of known size into preallocated buffers, without a promise for each piece. */
import { finished, Readable } from "node:stream";
import { limitedWait } from "../../base/abort.js";

/** The limits of collecting. */
export interface CollectGuard {
  /** Collecting rejects with the reason of this signal as soon as it aborts. */
  readonly signal: AbortSignal;
  /** The longest time without a byte, in milliseconds; 0 for no limit. */
  readonly idleTimeoutMs: number;
  /** The error for a body that was silent for that long after the given number of bytes. */
  readonly stalled: (bytes: number) => Error;
  /** The error for a body that failed after the given number of bytes. */
  readonly failed: (bytes: number, cause: unknown) => Error;
}

/**
 * Copies a body into the targets, one after the other. Once this has settled, nothing is written to them any more.
 *
 * @returns the number of bytes that arrived. More than the targets have room for says only that the body has more
 */
export function collectInto(
  body: unknown,
  targets: readonly Uint8Array[],
  guard: CollectGuard,
): Promise<number> {
  const { signal, idleTimeoutMs, stalled, failed } = guard;
  const stream = body instanceof Readable ? body : Readable.from((body ?? []) as AsyncIterable<Uint8Array>);
  const room = targets.reduce((sum, { length }) => sum + length, 0);
  let seen = 0;
  const limits = { signal, idleTimeoutMs, stalled: () => stalled(seen) };
  return limitedWait<number>(limits, ({ resolve, reject, refresh }) => {
    const onData = (piece: Uint8Array) => {
      refresh();
      if (!(piece instanceof Uint8Array)) {
        reject(failed(seen, new TypeError("its stream yielded something other than bytes")));
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

/** Copies bytes, which follow `before` others, to their place in the targets. */
function copy(piece: Uint8Array, before: number, targets: readonly Uint8Array[]): void {
  let start = -before;
  for (const target of targets) {
    // The start of the target in the piece; negative by the number of bytes that the target has already.
    const from = Math.max(0, start);
    const to = Math.min(piece.length, start + target.length);
    if (from < to) target.set(piece.subarray(from, to), from - start);
    start += target.length;
  }
}
