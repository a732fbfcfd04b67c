/** The progress of a transfer, in one form for all of them. */
import { wrongType } from "../base/arguments.js";

/** The argument of an `onProgress` listener. */
export interface TransferProgress {
  readonly operation: "put" | "get" | "upload" | "download" | "migrate";
  readonly Bucket: string;
  readonly Key: string;
  /** Plaintext bytes that are done: stored in S3, or verified and released or written. */
  readonly bytes: number;
  /** Plaintext bytes in total, once they are known. */
  readonly totalBytes: number | undefined;
  /** Parts of an upload, or blocks of a download, that are done. */
  readonly parts: number;
  /** Parts or blocks in total, once they are known. */
  readonly totalParts: number | undefined;
  /** The average number of bytes per second since the call began, without those that an earlier call had done. */
  readonly bytesPerSecond: number;
  /** The estimated time for the rest in seconds; undefined while it is unknown. */
  readonly secondsLeft: number | undefined;
}

/**
 * Called with the progress of a transfer, at most ten times a second, and once at the end of a transfer that succeeds. An
 * error that it throws ends the transfer.
 */
export type ProgressListener = (progress: TransferProgress) => void;

/** Checks the listener in the options of a call. */
export function progressArgument(value: unknown): ProgressListener | undefined {
  if (value === undefined || typeof value === "function") return value as ProgressListener | undefined;
  throw wrongType("options.onProgress", "a function", value);
}

const minIntervalMs = 100;

/** The call and the object of a {@link ProgressMeter}. */
export type ProgressSubject = Pick<TransferProgress, "operation" | "Bucket" | "Key">;

/** Counts the progress of one transfer and reports it to its listener, if there is one. */
export class ProgressMeter {
  readonly #subject: ProgressSubject;
  readonly #listener: ProgressListener | undefined;
  readonly #startedAt = performance.now();
  #reportedAt = Number.NEGATIVE_INFINITY;
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

  /** Counts what an earlier call had done. */
  resume(bytes: number, parts: number): void {
    this.#earlierBytes += bytes;
    this.add(bytes, parts);
  }

  /** Counts more. Throws the errors of the listener. */
  add(bytes: number, parts = 0): void {
    this.#bytes += bytes;
    this.#parts += parts;
    if (this.#listener && performance.now() - this.#reportedAt >= minIntervalMs) this.#report(this.#listener);
  }

  /** Counts the rest, and reports the end. Throws the errors of the listener. */
  end(bytes = 0, parts = 0): void {
    this.#bytes += bytes;
    this.#parts += parts;
    if (this.#listener) this.#report(this.#listener);
  }

  /** Counts everything as done, and reports the end. Throws the errors of the listener. */
  complete(bytes: number, parts: number): void {
    [this.#bytes, this.totalBytes] = [bytes, bytes];
    [this.#parts, this.totalParts] = [parts, parts];
    this.end();
  }

  #report(listener: ProgressListener): void {
    const now = performance.now();
    this.#reportedAt = now;
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
