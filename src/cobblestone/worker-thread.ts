/** One worker thread, as the engine sees it. */
import { Worker } from "node:worker_threads";
import { EnvelopeError } from "../errors.js";
import { decryptionFailed } from "./derivation.js";
import type { Run } from "./slab.js";
import { type WorkerAnswer, type WorkerTask, workerReady } from "./worker.js";

/** What a {@link WorkerThread} tells. */
export interface WorkerListener {
  /** It can work, or has room again. */
  onRoom(): void;
  /** It has ended without having been closed; `wasReady` says whether it ever could work. */
  onEnd(thread: WorkerThread, wasReady: boolean, cause: unknown): void;
}

interface Waiting {
  resolve(slab: ArrayBuffer): void;
  reject(error: unknown): void;
}

/** Keeps the process alive only while it has work. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #listener: WorkerListener;
  /** Runs that it has not answered; it answers them in order. */
  readonly #waiting: Waiting[] = [];
  #isReady = false;
  #onIdle: (() => void) | undefined;

  /** @throws whatever `Worker` throws when no thread can be made */
  constructor(url: URL, listener: WorkerListener) {
    this.#listener = listener;
    // Neither loaders nor variables of this process are any of its business. Each chunk leaves garbage of its own
    // size; a small young generation has it collected while it is still in the processor's cache.
    const resourceLimits = { maxYoungGenerationSizeMb: 1 };
    this.#worker = new Worker(url, { name: "s3-envelope", execArgv: [], env: {}, resourceLimits });
    this.#worker.unref();
    this.#worker.on("message", (message) => this.#onMessage(message));
    let cause: unknown;
    this.#worker.once("error", (error) => {
      cause = error;
    });
    this.#worker.once("exit", (exitCode) => this.#onExit(cause ?? new Error(`it exited with ${exitCode}`)));
  }

  /** Whether it has started. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** How many runs it has been given and has not answered. */
  get load(): number {
    return this.#waiting.length;
  }

  /**
   * Has it work on a slab, which is transferred and comes back.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`; `WORKER_FAILED` when it ends before it has answered
   */
  run(run: Run, slab: ArrayBuffer): Promise<ArrayBuffer> {
    return new Promise((resolve, reject) => {
      const task: WorkerTask = { run, slab };
      this.#worker.postMessage(task, [slab]);
      if (this.#waiting.push({ resolve, reject }) === 1) this.#worker.ref();
    });
  }

  /** Waits for the answers that it owes and ends it. */
  async close(): Promise<void> {
    if (this.load > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await this.#worker.terminate();
  }

  #onMessage(message: WorkerAnswer | typeof workerReady): void {
    if (message === workerReady) {
      this.#isReady = true;
    } else {
      const { resolve, reject } = this.#waiting.shift() as Waiting;
      if (message.verified) resolve(message.slab);
      else reject(decryptionFailed());
      if (this.load === 0) this.#becomeIdle();
    }
    this.#listener.onRoom();
  }

  #becomeIdle(): void {
    this.#worker.unref();
    this.#onIdle?.();
  }

  #onExit(cause: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(workerFailed(cause));
    this.#becomeIdle();
    this.#listener.onEnd(this, this.#isReady, cause);
  }
}

function workerFailed(cause: unknown): EnvelopeError {
  return new EnvelopeError("WORKER_FAILED", "a worker thread ended while it had work; see the cause", {
    cause,
  });
}
