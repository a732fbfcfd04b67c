/** One worker thread, as the pool sees it. */
import { Worker } from "node:worker_threads";
import { Condition } from "../../base/condition.js";
import { decryptionFailed, EnvelopeError } from "../../base/errors.js";
import type { ChunkBatch } from "../batch.js";
import { isResponse, type WorkerTask, workerProtocol } from "./worker-messages.js";

/** What a {@link WorkerThread} tells. */
export interface WorkerListener {
  /** It can work, or has room again. */
  onRoom(): void;
  /** It has ended; `wasReady` says whether it ever could work. */
  onEnd(thread: WorkerThread, wasReady: boolean, cause: unknown): void;
}

interface Waiting {
  readonly slabBytes: number;
  resolve(slab: ArrayBuffer): void;
  reject(error: unknown): void;
}

/** A thread that has not said a word after so many milliseconds does not run what it should. */
const startTimeoutMs = 10_000;

/** Keeps the process alive only while it has work. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #listener: WorkerListener;
  /** Runs that it has not answered; it answers them in order. */
  readonly #waiting: Waiting[] = [];
  readonly #startTimer: NodeJS.Timeout;
  #isReady = false;
  #cause: unknown;
  readonly #idle = new Condition();

  /**
   * @param program the address of a module, or the text of a CommonJS script
   * @throws whatever `Worker` throws when no thread can be made
   */
  constructor(program: URL | string, listener: WorkerListener) {
    this.#listener = listener;
    // Neither loaders nor variables of this process are any of its business. Each chunk leaves garbage of its own
    // size; a small young generation has it collected while it is still in the processor's cache.
    this.#worker = new Worker(program, {
      name: "s3-envelope",
      eval: typeof program === "string",
      workerData: workerProtocol,
      execArgv: [],
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    });
    this.#worker.on("message", (message: unknown) => this.#onMessage(message));
    this.#worker.on("messageerror", (error) => this.#giveUp(error));
    this.#worker.on("error", (error) => {
      this.#cause ??= error;
    });
    this.#worker.once("exit", (exitCode) => this.#onExit(exitCode));
    // After the listeners: to listen for messages is to wait for them.
    this.#worker.unref();
    const silent = () => this.#giveUp(new Error(`it did not start within ${startTimeoutMs} ms`));
    this.#startTimer = setTimeout(silent, startTimeoutMs).unref();
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
  run(run: ChunkBatch, slab: ArrayBuffer): Promise<ArrayBuffer> {
    return new Promise((resolve, reject) => {
      const task: WorkerTask = { run, slab };
      const slabBytes = slab.byteLength;
      this.#worker.postMessage(task, [slab]);
      if (this.#waiting.push({ slabBytes, resolve, reject }) === 1) this.#worker.ref();
    });
  }

  /** Waits for the answers that it owes and ends it. */
  async close(): Promise<void> {
    while (this.load > 0) await this.#idle.wait();
    clearTimeout(this.#startTimer);
    await this.#worker.terminate();
  }

  #onMessage(message: unknown): void {
    if (!this.#isReady) {
      if (message !== workerProtocol) {
        this.#giveUp(new Error("its code is not that of this release"));
        return;
      }
      clearTimeout(this.#startTimer);
      this.#isReady = true;
    } else {
      const first = this.#waiting[0];
      if (!first || !isResponse(message, first.slabBytes)) {
        this.#giveUp(new Error("it answered what it was not asked"));
        return;
      }
      this.#waiting.shift();
      if (message.verified) first.resolve(message.slab);
      else first.reject(decryptionFailed());
      if (this.load === 0) this.#becomeIdle();
    }
    this.#listener.onRoom();
  }

  /** Ends it; what it owes fails when it has ended. */
  #giveUp(cause: unknown): void {
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
