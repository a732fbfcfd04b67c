/** A time limit on silence, which takes a pause of the process for no silence of the source. */

/** Measures how long nothing has come. */
export interface IdleTimer {
  /** Something has come: counts from now on. */
  refresh(): void;
  stop(): void;
}

/** A timer that fires so much late, in milliseconds, was not on time because the process or the machine stood still. */
const pauseMs = 1000;

/**
 * Calls `onIdle` once when nothing has come for the given time.
 *
 * A timer may be due when bytes wait to be read that have come long since: after SIGSTOP, sleep of the machine or long
 * work on the event loop. So nothing is called idle before the event loop has looked twice for what is there; and when
 * the timer fires very late, it counts from then on once more, as those at the other end may have to send again.
 *
 * @param idleTimeoutMs the limit; with 0 there is none
 * @param firstMs less than that, when some of the time has gone by already
 */
export function startIdleTimer(
  idleTimeoutMs: number,
  onIdle: () => void,
  firstMs: number = idleTimeoutMs,
): IdleTimer {
  if (idleTimeoutMs === 0) return { refresh: () => undefined, stop: () => undefined };
  let periodMs = firstMs;
  let dueMs = performance.now() + firstMs;
  let looks = 0;
  let immediate: NodeJS.Immediate | undefined;
  let timer = setTimeout(onDue, firstMs);
  function start(): void {
    looks = 0;
    periodMs = idleTimeoutMs;
    dueMs = performance.now() + periodMs;
    clearTimeout(timer);
    timer = setTimeout(onDue, periodMs);
  }
  function onDue(): void {
    if (performance.now() - dueMs > pauseMs) start();
    else look();
  }
  function look(): void {
    looks += 1;
    // What one turn of the event loop has read may come out in the next.
    if (looks > 2) onIdle();
    else immediate = setImmediate(look);
  }
  return {
    refresh() {
      clearImmediate(immediate);
      if (periodMs !== idleTimeoutMs) return start();
      looks = 0;
      dueMs = performance.now() + periodMs;
      timer.refresh();
    },
    stop() {
      clearTimeout(timer);
      clearImmediate(immediate);
    },
  };
}
