/** How far a transfer has come: one shape for all of them. */
import { wrongType } from "../base/arguments.js";

/** What an `onProgress` listener is told. */
export interface TransferProgress {
  readonly operation: "put" | "get" | "upload" | "download" | "migrate";
  readonly Bucket: string;
  readonly Key: string;
  /** Plaintext bytes that are done: stored in S3, or verified and handed out or written. */
  readonly bytes: number;
  /** Plaintext bytes in all, once that is known. */
  readonly totalBytes: number | undefined;
  /** Parts that are done: parts of an upload, stretches of a download that are requested together. */
  readonly parts: number;
  /** Parts in all, once that is known. */
  readonly totalParts: number | undefined;
  /** Bytes a second on average since the call began, without those that an earlier try had done. */
  readonly bytesPerSecond: number;
  /** How long the rest will take at this rate; undefined while nobody can tell. */
  readonly secondsLeft: number | undefined;
}

/** Is told of progress, at most ten times a second, and of the end of a transfer that succeeds. What it throws ends the transfer. */
export type ProgressListener = (progress: TransferProgress) => void;

/** Checks a listener among the options of a call. */
export function progressArgument(value: unknown): ProgressListener | undefined {
  if (value === undefined || typeof value === "function") return value as ProgressListener | undefined;
  throw wrongType("options.onProgress", "a function", value);
}

const minIntervalMs = 100;

/** What a {@link ProgressMeter} is about. */
export type ProgressSubject = Pick<TransferProgress, "operation" | "Bucket" | "Key">;

/** Counts for one transfer and tells its listener, if there is one. */
export class ProgressMeter {
  readonly #subject: ProgressSubject;
  readonly #listener: ProgressListener | undefined;
  readonly #startedAt = performance.now();
  #toldAt = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  #parts = 0;
  #earlierBytes = 0;
  /** Set these once they are known. */
  totalBytes: number | undefined;
  totalParts: number | undefined;

  constructor(subject: ProgressSubject, listener: ProgressListener | undefined) {
    this.#subject = subject;
    this.#listener = listener;
  }

  /** Counts what an earlier try had done. */
  resume(bytes: number, parts: number): void {
    this.#earlierBytes += bytes;
    this.add(bytes, parts);
  }

  /** Counts more. Throws what the listener throws. */
  add(bytes: number, parts = 0): void {
    this.#bytes += bytes;
    this.#parts += parts;
    if (this.#listener && performance.now() - this.#toldAt >= minIntervalMs) this.#tell(this.#listener);
  }

  /** Counts what is left to count, and tells the end. Throws what the listener throws. */
  end(bytes = 0, parts = 0): void {
    this.#bytes += bytes;
    this.#parts += parts;
    if (this.#listener) this.#tell(this.#listener);
  }

  /** Counts everything as done, and reports the end. Throws what the listener throws. */
  complete(bytes: number, parts: number): void {
    [this.#bytes, this.totalBytes] = [bytes, bytes];
    [this.#parts, this.totalParts] = [parts, parts];
    this.end();
  }

  #tell(listener: ProgressListener): void {
    const now = performance.now();
    this.#toldAt = now;
    const seconds = (now - this.#startedAt) / 1000;
    const bytesPerSecond = seconds > 0 ? (this.#bytes - this.#earlierBytes) / seconds : 0;
    listener({
      ...this.#subject,
      bytes: this.#bytes,
      totalBytes: this.totalBytes,
      parts: this.#parts,
      totalParts: this.totalParts,
      bytesPerSecond,
      secondsLeft: secondsLeft(this.totalBytes, this.#bytes, bytesPerSecond),
    });
  }
}

function secondsLeft(total: number | undefined, done: number, bytesPerSecond: number): number | undefined {
  if (total === undefined) return undefined;
  if (total <= done) return 0;
  return bytesPerSecond > 0 ? (total - done) / bytesPerSecond : undefined;
}
