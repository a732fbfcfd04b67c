/** Requests that wait until a test lets them go on. */
import type { RecordedRequest } from "./request-log.js";

/** Where a request waits. */
export type HoldPlace = "before" | "after" | "body";

/** Requests that are held, or will be. */
export interface HeldRequests extends Disposable {
  /**
   * The first of them, as soon as it waits. Rejects when there can be none any more: after {@link release},
   * `clearFaults` or `close`.
   */
  readonly arrived: Promise<RecordedRequest>;
  /** Those that have come so far, in order. */
  readonly requests: readonly RecordedRequest[];
  /** Lets them go on, and holds none any more. May be called again. */
  release(): void;
}

/** One hold: where its requests wait. */
export class Hold implements HeldRequests {
  readonly #at: HoldPlace;
  /** The place in the body of the response; undefined when its requests wait elsewhere. */
  readonly bodyBytes: number | undefined;
  readonly arrived: Promise<RecordedRequest>;
  readonly requests: RecordedRequest[] = [];
  readonly #released = new AbortController();
  #tellArrival: (request: RecordedRequest) => void = () => undefined;
  #tellNone: (reason: Error) => void = () => undefined;

  constructor(at: HoldPlace, bodyBytes: number) {
    this.#at = at;
    this.bodyBytes = at === "body" ? bodyBytes : undefined;
    this.arrived = new Promise((resolve, reject) => {
      this.#tellArrival = resolve;
      this.#tellNone = reject;
    });
    // Whoever does not wait for it need not know that nothing came.
    this.arrived.catch(() => undefined);
  }

  /** Whether requests still wait here. */
  get holds(): boolean {
    return !this.#released.signal.aborted;
  }

  /**
   * Holds a request that has come to its place.
   *
   * @throws the reason of `ending` when that is aborted first
   */
  async keep(place: HoldPlace, request: RecordedRequest, ending: AbortSignal): Promise<void> {
    if (place !== this.#at || !this.holds) return;
    ending.throwIfAborted();
    const released = this.#released.signal;
    const over = new Promise<void>((resolve) => {
      const done = () => {
        released.removeEventListener("abort", done);
        ending.removeEventListener("abort", done);
        resolve();
      };
      released.addEventListener("abort", done);
      ending.addEventListener("abort", done);
    });
    this.requests.push(request);
    this.#tellArrival(request);
    await over;
    ending.throwIfAborted();
  }

  release(): void {
    this.#released.abort();
    this.#tellNone(new Error("no request came to the hold before it was released"));
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
