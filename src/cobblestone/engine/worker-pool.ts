/** The worker threads of an engine. They start on demand, unless the host turns out to allow none. */
import { Condition } from "../../base/condition.js";
import { type EngineEvent, engineChannel } from "../../observe/channels.js";
import { type ChunkBatch, processInPlace } from "../batch.js";
import { workerSource } from "./worker-source.js";
import { type WorkerListener, WorkerThread } from "./worker-thread.js";

/** The settings of a {@link WorkerPool}; see `CryptoEngineOptions`. */
export interface WorkerPoolSettings {
  readonly maxWorkers: number;
  readonly minWorkerBytes: number;
  /** A worker program to use instead of the built one. */
  readonly workerUrl: URL | undefined;
}

/** A worker with this many batches, one in progress and one waiting, is busy. More batches may be given to it nevertheless. */
const busyBatches = 2;

/** Processes batches, on the calling thread when there is no worker. */
export class WorkerPool {
  /** Number of bytes of a message that are processed before workers are used. */
  readonly minWorkerBytes: number;
  /** Not more than could be started. */
  #maxWorkers: number;
  readonly #program: URL | string;
  readonly #threads = new Set<WorkerThread>();
  /** Notified when a worker may have room, or when there may be no worker any more. */
  readonly changed = new Condition();
  #usable: boolean;
  #closed: Promise<unknown> | undefined;

  constructor({ maxWorkers, minWorkerBytes, workerUrl }: WorkerPoolSettings) {
    this.#maxWorkers = maxWorkers;
    this.minWorkerBytes = minWorkerBytes;
    this.#program = workerUrl ?? workerSource;
    this.#usable = maxWorkers > 0 && this.#program !== "";
  }

  /** Number of worker threads, including those that are starting. */
  get workers(): number {
    return this.#threads.size;
  }

  /** Number of worker threads that have started. */
  get readyWorkers(): number {
    let ready = 0;
    for (const thread of this.#threads) if (thread.isReady) ready += 1;
    return ready;
  }

  /** Number of batches that workers have not returned yet. */
  get pendingBatches(): number {
    let batches = 0;
    for (const thread of this.#threads) batches += thread.load;
    return batches;
  }

  /** Whether there are workers, or may be some later. */
  get hasWorkers(): boolean {
    return this.#usable;
  }

  /** See `CryptoEngine.start`. */
  async start(): Promise<void> {
    // A thread that is starting does not keep the process alive, but this wait should.
    const keepAlive = setInterval(() => undefined, 1_000_000);
    while (this.#startAnother() || this.readyWorkers < this.workers) await this.changed.wait();
    clearInterval(keepAlive);
  }

  /** Whether a worker has room for a batch. If none has, and there are fewer workers than wanted, starts another one. */
  findRoom(wantedWorkers: number): boolean {
    const least = this.#leastLoaded();
    if (least && least.load < busyBatches) return true;
    if (this.workers < wantedWorkers) this.#startAnother();
    return false;
  }

  /**
   * Processes a batch on a worker. Its buffer is transferred to the worker and back. Call {@link findRoom} first: a
   * batch without room waits for those before it. If the last worker has ended meanwhile, the calling thread processes it.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
   */
  async process(batch: ChunkBatch, buffer: ArrayBuffer): Promise<ArrayBuffer> {
    const thread = this.#leastLoaded();
    if (thread) return thread.process(batch, buffer);
    processInPlace(batch, new Uint8Array(buffer));
    return buffer;
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

  /** Starts a worker if the limit allows it and no other is starting; returns whether it did. */
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

  /** Stops starting workers, because one could not be started. */
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

/** Warns once in a process, for all its engines: results are the same, but encryption is slower and blocks the event loop. */
function warnOnce(): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    "worker threads could not be started, so encryption runs on the calling thread. The diagnostics channel " +
      "s3-envelope:engine reports the cause. To use no workers on purpose, pass new CryptoEngine({ maxWorkers: 0 }).",
    { type: "S3EnvelopeWarning", code: "S3_ENVELOPE_NO_WORKERS" },
  );
}
