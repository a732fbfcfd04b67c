/** Where the plaintext of an upload is read from: any stretch of it, at any time, always the same. */

import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { untilLimits } from "../base/abort.js";
import { integerArgument, objectArgument, stringArgument, wrongType } from "../base/arguments.js";
import { EnvelopeError } from "../base/errors.js";
import { fileFailed, kindFault, withFileError } from "../base/files.js";
import type { RandomAccessSource } from "../cobblestone/stream/random-access.js";
import type { Fields } from "../fields/field-list.js";
import { bytesOf } from "../source/shape.js";
import { sourceFailed } from "../source/source-error.js";

/** A plaintext of known length that can be read at any offset. Give one of the two. */
export interface SeekableInput {
  /** A file. Its size and time of modification must stay as they are. */
  readonly filePath?: string | undefined;
  /** Anything else: plaintext of a fixed length, which gives the same bytes whenever it is asked. */
  readonly source?: RandomAccessSource | undefined;
}

/** A plaintext that has been opened. */
export interface SeekableSource {
  readonly length: number;
  /** When a file was modified last, in milliseconds; undefined for what is no file. */
  readonly modifiedMs: number | undefined;
  /** Whether a path leads to the very file that it is read from, by whatever name or link. */
  isFileAt(path: string): Promise<boolean>;
  /**
   * Fills memory with the bytes from `position` on.
   *
   * @throws EnvelopeError `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED`, `SOURCE_CHANGED`
   */
  read(target: Uint8Array, position: number): Promise<void>;
  /** @throws EnvelopeError `SOURCE_CHANGED` when the file is not what it was when it was opened */
  requireUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/** A source of the caller's is asked for at most so many bytes at a time. */
const maxReadBytes = 1024 * 1024;

/** The error for a source that is not what it was. */
export function sourceChanged(what: string, details: EnvelopeError["details"]): EnvelopeError {
  return new EnvelopeError("SOURCE_CHANGED", `the source is not what it was when the upload began: ${what}`, {
    details,
  });
}

/** Checks that an input names one source. */
export function seekableArgument({ filePath, source }: Partial<Fields<SeekableInput>>): SeekableInput {
  if ((filePath === undefined) === (source === undefined)) {
    throw new TypeError("filePath, source: expected one of them");
  }
  if (filePath !== undefined) return { filePath: stringArgument("filePath", filePath) };
  const { length, read } = objectArgument("source", source);
  integerArgument("source.length", length, 0, Number.MAX_SAFE_INTEGER);
  if (typeof read !== "function") throw wrongType("source.read", "a function", read);
  return { source: source as RandomAccessSource };
}

/** Opens what {@link seekableArgument} has checked. */
export async function openSeekable(
  { filePath, source }: SeekableInput,
  signal: AbortSignal,
  idleTimeoutMs: number,
): Promise<SeekableSource> {
  if (source) return callersSource(source, signal, idleTimeoutMs);
  return fileSource(filePath ?? "");
}

async function fileSource(path: string): Promise<SeekableSource> {
  const attempt = <T>(act: () => Promise<T>): Promise<T> => withFileError(path, "be read", act);
  // Not to wait for whoever may write into a pipe.
  const file = await attempt(() => open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const stats = await attempt(() => file.stat());
    const { size, mtimeMs } = stats;
    // Pipes and devices state a size of 0.
    const fault = kindFault(stats);
    if (fault) throw fileFailed(path, "be uploaded", fault);
    return {
      length: size,
      modifiedMs: mtimeMs,
      isFileAt: (other) => attempt(() => isFileAt(file, other)),
      read: (target, position) => attempt(() => readFile(file, path, target, position)),
      requireUnchanged: async () => {
        const now = await attempt(() => file.stat());
        if (now.size !== size) throw sourceChanged("the file has another size", { path, size: now.size });
        if (now.mtimeMs !== mtimeMs) throw sourceChanged("the file was modified meanwhile", { path });
        // Some file systems, such as /proc, state a size of 0 for files that hold something.
        const { bytesRead } = await attempt(() => file.read(new Uint8Array(1), 0, 1, size));
        if (bytesRead > 0) throw sourceChanged("the file holds more than its size says", { path, size });
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function isFileAt(file: FileHandle, path: string): Promise<boolean> {
  const [own, other] = await Promise.all([
    file.stat({ bigint: true }),
    // What cannot be seen is no file that is open here.
    stat(path, { bigint: true }).catch(() => undefined),
  ]);
  return other !== undefined && own.dev === other.dev && own.ino === other.ino;
}

async function readFile(file: FileHandle, path: string, target: Uint8Array, position: number): Promise<void> {
  for (let filled = 0; filled < target.length; ) {
    const { bytesRead } = await file.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) throw sourceChanged("the file has become shorter", { path });
    filled += bytesRead;
  }
}

function callersSource(
  source: RandomAccessSource,
  signal: AbortSignal,
  idleTimeoutMs: number,
): SeekableSource {
  const { length } = source;
  return {
    length,
    modifiedMs: undefined,
    isFileAt: async () => false,
    async read(target, position) {
      for (let filled = 0; filled < target.length; ) {
        const start = position + filled;
        const end = Math.min(start + maxReadBytes, position + target.length);
        const result = await readOnce(source, start, end, signal, idleTimeoutMs);
        const bytes = bytesOf(result);
        if (!bytes) throw wrongType("source.read: its result", "a Uint8Array", result);
        if (bytes.length !== end - start) {
          const what = `${end - start} bytes were asked for at ${start}, ${bytes.length} came`;
          throw sourceChanged(what, { start, expectedBytes: end - start, bytes: bytes.length });
        }
        target.set(bytes, filled);
        filled += bytes.length;
      }
    },
    async requireUnchanged() {
      if (source.length !== length) throw sourceChanged("it has another length", { size: source.length });
    },
    async close() {},
  };
}

async function readOnce(
  source: RandomAccessSource,
  start: number,
  end: number,
  signal: AbortSignal,
  idleTimeoutMs: number,
): Promise<unknown> {
  const stalled = () =>
    new EnvelopeError("SOURCE_STALLED", `source.read has not responded for ${idleTimeoutMs} ms`, {
      details: { start, end },
    });
  const read = async () => {
    try {
      return await source.read(start, end);
    } catch (error) {
      signal.throwIfAborted();
      throw sourceFailed("source.read failed", error, { start, end });
    }
  };
  return untilLimits({ signal, idleTimeoutMs, stalled }, read());
}
