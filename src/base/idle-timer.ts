/** A time limit on silence that does not mistake a pause of the process for silence of the source. */

/** Measures the time without an event. */
export interface IdleTimer {
  /** Restarts the measurement, after an event. */
  refresh(): void;
  stop(): void;
}

/** If a timer fires later than this, in milliseconds, the process or the machine was paused. */
const pauseMs = 1000;

/**
 * Calls `onIdle` once when there was no event for the given time.
 *
 * A timer may fire while bytes that arrived long before wait to be read: after SIGSTOP, sleep of the machine, or long work
 * on the event loop. So `onIdle` is called only after the event loop has polled for events twice. If the timer fires
 * very late, it starts once more, because the other end may have to send again.
 *
 * @param idleTimeoutMs the limit; 0 for none
 * @param firstMs the limit until the first event, if some of the time has passed already
 */
export function startIdleTimer(
  idleTimeoutMs: number,
  onIdle: () => void,
  firstMs: number = idleTimeoutMs,
): IdleTimer {
  if (idleTimeoutMs === 0) return { refresh: () => undefined, stop: () => undefined };
  let periodMs = firstMs;
  let dueMs = performance.now() + firstMs;
  let polls = 0;
  let immediate: NodeJS.Immediate | undefined;
  let timer = setTimeout(onDue, firstMs);
  function start(): void {
    polls = 0;
    periodMs = idleTimeoutMs;
    dueMs = performance.now() + periodMs;
    clearTimeout(timer);
    timer = setTimeout(onDue, periodMs);
  }
  function onDue(): void {
    if (performance.now() - dueMs > pauseMs) start();
    else poll();
  }
  function poll(): void {
    polls += 1;
    // Bytes that one turn of the event loop has read may be emitted in the next.
    if (polls > 2) onIdle();
    else immediate = setImmediate(poll);
  }
  return {
    refresh() {
      clearImmediate(immediate);
      if (periodMs !== idleTimeoutMs) return start();
      polls = 0;
      dueMs = performance.now() + periodMs;
      timer.refresh();
    },
    stop() {
      clearTimeout(timer);
      clearImmediate(immediate);
    },
  };
}
