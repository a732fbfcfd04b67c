/** Where chunks are sealed and opened: on the calling thread, or on a pool of worker threads beside it. */
import { availableParallelism } from "node:os";
import { integerArgument, recordArgument, wrongType } from "../arguments.js";
import { type EngineEvent, engineChannel } from "../observe/channels.js";
import { type Run, workInPlace } from "./slab.js";
import { type WorkerListener, WorkerThread } from "./worker-thread.js";

/** Settings of a {@link CryptoEngine}. */
export interface CryptoEngineOptions {
  /**
   * The most worker threads, 0 to 64; with 0 all work is done on the calling thread. By default two, and none
   * where the machine runs one thread at a time (`os.availableParallelism()`). A thread is started when those there
   * are have enough to do.
   */
  readonly maxWorkers?: number | undefined;
  /**
   * The first bytes of each message, so many, are worked on by the calling thread; only longer messages use
   * workers. 1 MiB by default.
   */
  readonly minWorkerBytes?: number | undefined;
  /** Where the code of the workers lies, for a bundled program: a copy of `s3-envelope/worker`. */
  readonly workerUrl?: URL | undefined;
}

/** How many runs a worker is given at a time: one to work on, one to have at hand. */
const maxLoad = 2;

/**
 * Seals and opens chunks for any number of clients and streams. Worker threads keep no process alive. When they
 * cannot be had (a restricted host, a bundle without their code), all goes on on the calling thread, and the
 * diagnostics channel `s3-envelope:engine` says so once.
 */
export class CryptoEngine implements AsyncDisposable {
  /** How many bytes of a message are worked on before workers are used. */
  readonly minWorkerBytes: number;
  /** No more than could be started. */
  #maxWorkers: number;
  readonly #workerUrl: URL | undefined;
  readonly #threads = new Set<WorkerThread>();
  readonly #roomListeners = new Set<() => void>();
  #usable: boolean;

  /** @throws TypeError, RangeError when an option is wrong */
  constructor(options: CryptoEngineOptions = {}) {
    const { maxWorkers, minWorkerBytes = 1024 * 1024, workerUrl } = recordArgument("options", options);
    this.#maxWorkers = integerArgument("options.maxWorkers", maxWorkers ?? defaultWorkers(), 0, 64);
    this.minWorkerBytes = integerArgument(
      "options.minWorkerBytes",
      minWorkerBytes,
      0,
      Number.MAX_SAFE_INTEGER,
    );
    if (workerUrl !== undefined && !(workerUrl instanceof URL))
      throw wrongType("options.workerUrl", "a URL", workerUrl);
    this.#workerUrl = workerUrl;
    this.#usable = this.#maxWorkers > 0;
  }

  /**
   * Starts all workers now instead of when they are needed, and waits until they can work or cannot be had; for a
   * service that has time before its first request.
   */
  async start(): Promise<void> {
    // Threads that start keep no process alive, but whoever waits for them does.
    const waiting = setInterval(() => undefined, 1_000_000);
    while (this.#startAnother() || this.readyWorkers < this.workers) {
      await new Promise<void>((resolve) => {
        const stop = this.onRoom(() => {
          stop();
          resolve();
        });
      });
    }
    clearInterval(waiting);
  }

  /** How many worker threads there are now, those that are starting included. */
  get workers(): number {
    return this.#threads.size;
  }

  /** How many worker threads can work now. */
  get readyWorkers(): number {
    let ready = 0;
    for (const thread of this.#threads) if (thread.isReady) ready += 1;
    return ready;
  }

  /** How many runs of chunks the workers have been given and have not answered. */
  get runsInWork(): number {
    let runs = 0;
    for (const thread of this.#threads) runs += thread.load;
    return runs;
  }

  /** Whether there are workers, or may be. */
  get hasWorkers(): boolean {
    return this.#usable;
  }

  /** Whether a worker is there to take a run; when none is, another one is started if there may be more. */
  askForRoom(): boolean {
    const least = this.#leastLoaded();
    if (least && least.load < maxLoad) return true;
    this.#startAnother();
    return false;
  }

  /**
   * Has a worker work on a slab, which is transferred and comes back. {@link askForRoom} first: a run too many
   * waits for those before it. When the last worker has ended meanwhile, the calling thread does it.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
   */
  async run(run: Run, slab: ArrayBuffer): Promise<ArrayBuffer> {
    const thread = this.#leastLoaded();
    if (thread) return thread.run(run, slab);
    workInPlace(run, new Uint8Array(slab));
    return slab;
  }

  /** Calls when there may be room again, or no worker any more. Returns what ends that. */
  onRoom(listener: () => void): () => void {
    this.#roomListeners.add(listener);
    return () => this.#roomListeners.delete(listener);
  }

  /**
   * Waits for the runs that are being worked on and ends all workers. What is asked of the engine later, or still
   * under way, is done on the calling thread. May be called again.
   */
  async close(): Promise<void> {
    this.#usable = false;
    const threads = [...this.#threads];
    this.#threads.clear();
    this.#tellRoom();
    await Promise.all(threads.map((thread) => thread.close()));
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #leastLoaded(): WorkerThread | undefined {
    let least: WorkerThread | undefined;
    for (const thread of this.#threads) {
      if (thread.isReady && (!least || thread.load < least.load)) least = thread;
    }
    return least;
  }

  /** Starts a worker if there may be more and none is starting; returns whether it did. */
  #startAnother(): boolean {
    const isStarting = this.readyWorkers < this.workers;
    if (!this.#usable || isStarting || this.workers >= this.#maxWorkers) return false;
    try {
      const url = this.#workerUrl ?? new URL("./worker.js", import.meta.url);
      this.#threads.add(new WorkerThread(url, this.#listener));
      return true;
    } catch (cause) {
      this.#fallBack(cause);
      return false;
    }
  }

  readonly #tellRoom = (): void => {
    for (const listener of this.#roomListeners) listener();
  };

  readonly #listener: WorkerListener = {
    onRoom: this.#tellRoom,
    onEnd: (thread, wasReady, cause) => {
      const wasOurs = this.#threads.delete(thread);
      if (wasOurs && !wasReady) this.#fallBack(cause);
      this.#tellRoom();
    },
  };

  /** A worker could not be started: those that could are all there will be. */
  #fallBack(cause: unknown): void {
    this.#maxWorkers = this.#threads.size;
    if (!this.#usable || this.#maxWorkers > 0) return;
    this.#usable = false;
    const event: EngineEvent = { event: "fallback", cause };
    engineChannel.publish(event);
  }
}

/** The engine that is used when none is named. It starts its first thread at the first message that is long enough. */
export const sharedEngine = new CryptoEngine();

/** An engine among the options of a call or of a client, checked. */
export function engineArgument(title: string, value: unknown): CryptoEngine {
  if (value === undefined) return sharedEngine;
  if (value instanceof CryptoEngine) return value;
  throw wrongType(title, "a CryptoEngine", value);
}

/** Two are faster than most networks, and each takes memory. */
function defaultWorkers(): number {
  return availableParallelism() > 1 ? 2 : 0;
}
