/** Requests that wait until a test releases them. */
import type { RecordedRequest } from "./request-log.js";

/** Where a held request waits; see {@link HoldOptions.at}. */
export type HoldPlace = "before" | "after" | "body";

/** The requests that a hold stops; see {@link LocalAws.hold}. */
export interface HeldRequests extends Disposable {
  /**
   * Resolves to the first request as soon as it waits. Rejects if none can arrive any more: after {@link
   * release}, `clearFaults` or `close`.
   */
  readonly arrived: Promise<RecordedRequest>;
  /** The requests that have arrived so far, in order. */
  readonly requests: readonly RecordedRequest[];
  /** Releases all of them, and stops no further ones. May be called again. */
  release(): void;
}

/** One hold: where its requests wait. */
export class Hold implements HeldRequests {
  readonly #at: HoldPlace;
  /** The position in the body of the response; undefined if requests wait elsewhere. */
  readonly bodyBytes: number | undefined;
  readonly arrived: Promise<RecordedRequest>;
  readonly requests: RecordedRequest[] = [];
  readonly #released = new AbortController();
  #resolveArrived: (request: RecordedRequest) => void = () => undefined;
  #rejectArrived: (reason: Error) => void = () => undefined;

  constructor(at: HoldPlace, bodyBytes: number) {
    this.#at = at;
    this.bodyBytes = at === "body" ? bodyBytes : undefined;
    this.arrived = new Promise((resolve, reject) => {
      this.#resolveArrived = resolve;
      this.#rejectArrived = reject;
    });
    // A rejection that nobody waits for is no unhandled one.
    this.arrived.catch(() => undefined);
  }

  /** Whether requests still wait here. */
  get holds(): boolean {
    return !this.#released.signal.aborted;
  }

  /**
   * Holds a request that has reached its place.
   *
   * @throws the reason of `ending` if that is aborted first
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
    this.#resolveArrived(request);
    await over;
    ending.throwIfAborted();
  }

  release(): void {
    this.#released.abort();
    this.#rejectArrived(new Error("no request came to the hold before it was released"));
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
