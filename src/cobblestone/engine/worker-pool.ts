/** The worker threads of an engine: started when they are needed, until they turn out not to be had. */
import { Condition } from "../../base/condition.js";
import { type EngineEvent, engineChannel } from "../../observe/channels.js";
import { type ChunkBatch, workInPlace } from "../batch.js";
import { workerSource } from "./worker-source.js";
import { type WorkerListener, WorkerThread } from "./worker-thread.js";

/** What a {@link WorkerPool} is made of; see `CryptoEngineOptions`. */
export interface WorkerPoolSettings {
  readonly maxWorkers: number;
  readonly minWorkerBytes: number;
  /** A worker program to use in place of the built one. */
  readonly workerUrl: URL | undefined;
}

/** A worker that has so many runs has enough to do: one to work on, one at hand. No limit, but what is asked for. */
const enoughRuns = 2;

/** Works on runs of chunks, on the calling thread when there is no worker. */
export class WorkerPool {
  /** How many bytes of a message are worked on before workers are used. */
  readonly minWorkerBytes: number;
  /** No more than could be started. */
  #maxWorkers: number;
  readonly #program: URL | string;
  readonly #threads = new Set<WorkerThread>();
  /** Notified when there may be room again, or no worker any more. */
  readonly changed = new Condition();
  #usable: boolean;
  #closed: Promise<unknown> | undefined;

  constructor({ maxWorkers, minWorkerBytes, workerUrl }: WorkerPoolSettings) {
    this.#maxWorkers = maxWorkers;
    this.minWorkerBytes = minWorkerBytes;
    this.#program = workerUrl ?? workerSource;
    this.#usable = maxWorkers > 0 && this.#program !== "";
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

  /** How many runs the workers have been given and have not answered. */
  get runsInWork(): number {
    let runs = 0;
    for (const thread of this.#threads) runs += thread.load;
    return runs;
  }

  /** Whether there are workers, or may be. */
  get hasWorkers(): boolean {
    return this.#usable;
  }

  /** See `CryptoEngine.start`. */
  async start(): Promise<void> {
    // Threads that start keep no process alive, but whoever waits for them does.
    const waiting = setInterval(() => undefined, 1_000_000);
    while (this.#startAnother() || this.readyWorkers < this.workers) await this.changed.wait();
    clearInterval(waiting);
  }

  /** Whether a worker has room for a run; when none has, and there are fewer than wanted, another one is started. */
  findRoom(wantedWorkers: number): boolean {
    const least = this.#leastLoaded();
    if (least && least.load < enoughRuns) return true;
    if (this.workers < wantedWorkers) this.#startAnother();
    return false;
  }

  /**
   * Has a worker work on a slab, which is transferred and comes back. {@link findRoom} first: a run too many
   * waits for those before it. When the last worker has ended meanwhile, the calling thread does it.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
   */
  async run(run: ChunkBatch, slab: ArrayBuffer): Promise<ArrayBuffer> {
    const thread = this.#leastLoaded();
    if (thread) return thread.run(run, slab);
    workInPlace(run, new Uint8Array(slab));
    return slab;
  }

  /** See `CryptoEngine.close`. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#usable = false;
      const threads = [...this.#threads];
      this.#threads.clear();
      this.#closed = Promise.all(threads.map((thread) => thread.close()));
      this.changed.notify();
    }
    await this.#closed;
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
      this.#threads.add(new WorkerThread(this.#program, this.#listener));
      return true;
    } catch (cause) {
      this.#fallBack(cause);
      return false;
    }
  }

  readonly #listener: WorkerListener = {
    onRoom: () => this.changed.notify(),
    onEnd: (thread, wasReady, cause) => {
      this.#threads.delete(thread);
      if (!wasReady) this.#fallBack(cause);
      this.changed.notify();
    },
  };

  /** A worker could not be started: those that could are all there will be. */
  #fallBack(cause: unknown): void {
    this.#maxWorkers = this.#threads.size;
    if (!this.#usable || this.#maxWorkers > 0) return;
    this.#usable = false;
    const event: EngineEvent = { event: "fallback", cause };
    engineChannel.publish(event);
    warnOnce();
  }
}

let hasWarned = false;

/** Warns once a process, however many engines it has: data stay right, but work is slower and holds the event loop. */
function warnOnce(): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    "worker threads could not be started, so encryption runs on the calling thread. The diagnostics channel " +
      "s3-envelope:engine tells the cause; new CryptoEngine({ maxWorkers: 0 }) as the engine does without them on purpose.",
    { type: "S3EnvelopeWarning", code: "S3_ENVELOPE_NO_WORKERS" },
  );
}
