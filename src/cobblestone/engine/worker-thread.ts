/** One worker thread, as the pool sees it. */
import { Worker } from "node:worker_threads";
import { Condition } from "../../base/condition.js";
import { decryptionFailed, EnvelopeError } from "../../base/errors.js";
import type { ChunkBatch } from "../batch.js";
import { isResponse, type WorkerTask, workerProtocol } from "./worker-messages.js";

/** Events of a {@link WorkerThread}. */
export interface WorkerListener {
  /** The thread has started, or has room for another batch. */
  onRoom(): void;
  /** The thread has ended; `wasReady` says whether it had started. */
  onEnd(thread: WorkerThread, wasReady: boolean, cause: unknown): void;
}

interface PendingTask {
  readonly bufferBytes: number;
  resolve(buffer: ArrayBuffer): void;
  reject(error: unknown): void;
}

/** A thread that has sent no message within this many milliseconds does not run the right program. */
const startTimeoutMs = 10_000;

/** Keeps the process alive only while it has tasks. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #listener: WorkerListener;
  /** In the order in which the thread responds. */
  readonly #pending: PendingTask[] = [];
  readonly #startTimer: NodeJS.Timeout;
  #isReady = false;
  #cause: unknown;
  readonly #idle = new Condition();

  /**
   * @param program the URL of a module, or the text of a CommonJS script
   * @throws what `Worker` throws when no thread can be created
   */
  constructor(program: URL | string, listener: WorkerListener) {
    this.#listener = listener;
    // The thread needs neither loaders nor environment variables of this process. Each chunk leaves garbage of its own
    // size; with a small young generation, V8 collects it while it is still in the processor's cache.
    this.#worker = new Worker(program, {
      name: "s3-envelope",
      eval: typeof program === "string",
      workerData: workerProtocol,
      execArgv: [],
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    });
    this.#worker.on("message", (message: unknown) => this.#onMessage(message));
    this.#worker.on("messageerror", (error) => this.#fail(error));
    this.#worker.on("error", (error) => {
      this.#cause ??= error;
    });
    this.#worker.once("exit", (exitCode) => this.#onExit(exitCode));
    // After the listeners are added, because a "message" listener refs the worker.
    this.#worker.unref();
    const silent = () => this.#fail(new Error(`it did not start within ${startTimeoutMs} ms`));
    this.#startTimer = setTimeout(silent, startTimeoutMs).unref();
  }

  /** Whether the thread has started. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Number of tasks without a response. */
  get load(): number {
    return this.#pending.length;
  }

  /**
   * Processes a batch. Its buffer is transferred to the thread and back.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`; `WORKER_FAILED` when the thread ends before it responds
   */
  process(batch: ChunkBatch, buffer: ArrayBuffer): Promise<ArrayBuffer> {
    return new Promise((resolve, reject) => {
      const task: WorkerTask = { batch, buffer };
      const bufferBytes = buffer.byteLength;
      this.#worker.postMessage(task, [buffer]);
      if (this.#pending.push({ bufferBytes, resolve, reject }) === 1) this.#worker.ref();
    });
  }

  /** Waits for the pending responses, then ends the thread. */
  async close(): Promise<void> {
    while (this.load > 0) await this.#idle.wait();
    clearTimeout(this.#startTimer);
    await this.#worker.terminate();
  }

  #onMessage(message: unknown): void {
    if (!this.#isReady) {
      if (message !== workerProtocol) {
        this.#fail(new Error("its program is not that of this release"));
        return;
      }
      clearTimeout(this.#startTimer);
      this.#isReady = true;
    } else {
      const first = this.#pending[0];
      if (!first || !isResponse(message, first.bufferBytes)) {
        this.#fail(new Error("it sent an unexpected message"));
        return;
      }
      this.#pending.shift();
      if (message.verified) first.resolve(message.buffer);
      else first.reject(decryptionFailed());
      if (this.load === 0) this.#becomeIdle();
    }
    this.#listener.onRoom();
  }

  /** Ends the thread. Its pending tasks fail when it has ended. */
  #fail(cause: unknown): void {
    this.#cause ??= cause;
    void this.#worker.terminate();
  }

  #becomeIdle(): void {
    this.#worker.unref();
    this.#idle.notify();
  }

  #onExit(exitCode: number): void {
    clearTimeout(this.#startTimer);
    const cause = this.#cause ?? new Error(`it exited with ${exitCode}`);
    for (const { reject } of this.#pending.splice(0)) reject(workerFailed(cause));
    this.#becomeIdle();
    this.#listener.onEnd(this, this.#isReady, cause);
  }
}

function workerFailed(cause: unknown): EnvelopeError {
  return new EnvelopeError("WORKER_FAILED", "a worker thread ended while it had tasks; see the cause", {
    cause,
  });
}
