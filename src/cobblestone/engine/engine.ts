/** The engine that seals and opens chunks, on the calling thread or on worker threads. */
import { availableParallelism } from "node:os";
import { integerArgument, wrongType } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { WorkerPool } from "./worker-pool.js";

/** Settings of a {@link CryptoEngine}. */
export interface CryptoEngineOptions {
  /**
   * The maximum number of worker threads, from 0 to 64. With 0, all work is done on the calling thread. The default is 2,
   * or 0 if the machine runs one thread at a time (`os.availableParallelism()`). A thread is started when the existing
   * ones are busy.
   */
  readonly maxWorkers?: number | undefined;
  /**
   * Messages up to this size, in bytes, are processed on the calling thread, as is the beginning of longer ones. The
   * default is 1 MiB.
   */
  readonly minWorkerBytes?: number | undefined;
  /**
   * A file to run in the worker threads instead of the program that the package contains: a copy of `s3-envelope/worker`
   * of this release. No bundler needs it.
   */
  readonly workerUrl?: URL | undefined;
}

/** The pool of an engine. It is not public, because it would seal under any nonce. */
export let poolOf: (engine: CryptoEngine) => WorkerPool;

/**
 * Seals and opens chunks for any number of clients and streams. Idle worker threads do not keep the process alive. On a
 * host that allows no worker threads, all work is done on the calling thread: the process then emits one warning with
 * the code `S3_ENVELOPE_NO_WORKERS`, and the diagnostics channel `s3-envelope:engine` publishes one event for each engine.
 */
export class CryptoEngine implements AsyncDisposable {
  readonly #pool: WorkerPool;

  static {
    poolOf = (engine) => engine.#pool;
  }

  /** @throws TypeError, RangeError when an option is wrong */
  constructor(options: CryptoEngineOptions = {}) {
    const given = fieldsArgument<CryptoEngineOptions>(fieldNames.engine.options, options);
    const { maxWorkers, minWorkerBytes = 1024 * 1024, workerUrl } = given;
    if (workerUrl !== undefined && !(workerUrl instanceof URL))
      throw wrongType("options.workerUrl", "a URL", workerUrl);
    this.#pool = new WorkerPool({
      maxWorkers: integerArgument("options.maxWorkers", maxWorkers ?? defaultWorkers(), 0, 64),
      minWorkerBytes: integerArgument("options.minWorkerBytes", minWorkerBytes, 0, Number.MAX_SAFE_INTEGER),
      workerUrl,
    });
  }

  /** The current number of worker threads, including those that are starting. */
  get workers(): number {
    return this.#pool.workers;
  }

  /**
   * Starts all workers now instead of on demand, and waits until they have started or failed to. Use it in a service that
   * has time before its first request.
   */
  start(): Promise<void> {
    return this.#pool.start();
  }

  /**
   * Waits for the workers to finish their current tasks, and ends them. Messages that are in progress or begin later are
   * processed on the calling thread. May be called again.
   */
  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Calls {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The default engine. It starts its first thread for the first message that is long enough. */
export const sharedEngine = new CryptoEngine();

/** Checks an engine in the options of a call or of a client. */
export function engineArgument(title: string, value: unknown): CryptoEngine {
  if (value === undefined) return sharedEngine;
  if (value instanceof CryptoEngine) return value;
  throw wrongType(title, "a CryptoEngine", value);
}

/** Two are faster than most networks, and each one needs memory. */
function defaultWorkers(): number {
  return availableParallelism() > 1 ? 2 : 0;
}
