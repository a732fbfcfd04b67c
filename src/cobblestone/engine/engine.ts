/** Where chunks are sealed and opened: on the calling thread, or on worker threads beside it. */
import { availableParallelism } from "node:os";
import { integerArgument, wrongType } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { WorkerPool } from "./worker-pool.js";

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
  /**
   * A file to run in the worker threads in place of the program that the package carries: a copy of
   * `s3-envelope/worker` of this release. No bundler needs it.
   */
  readonly workerUrl?: URL | undefined;
}

/** The pool of an engine, which is nobody's business outside this package: it would seal under any nonce. */
export let poolOf: (engine: CryptoEngine) => WorkerPool;

/**
 * Seals and opens chunks for any number of clients and streams. Worker threads keep no process alive. When they
 * cannot be had (a restricted host), all work is done on the calling thread. Then the process emits one warning, with
 * the code `S3_ENVELOPE_NO_WORKERS`, and the diagnostics channel `s3-envelope:engine` one event for each engine.
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

  /** How many worker threads there are now, those that are starting included. */
  get workers(): number {
    return this.#pool.workers;
  }

  /**
   * Starts all workers now instead of when they are needed, and waits until they can work or cannot be had; for a
   * service that has time before its first request.
   */
  start(): Promise<void> {
    return this.#pool.start();
  }

  /**
   * Waits for the runs that are being worked on and ends all workers. What is asked of the engine later, or still
   * under way, is done on the calling thread. May be called again.
   */
  close(): Promise<void> {
    return this.#pool.close();
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
