/** The source of an upload: plaintext of known length that can be read at any offset, repeatedly. */
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

/** A plaintext of known length that can be read at any offset. State exactly one of the two. */
export interface SeekableInput {
  /** A file. Its size and its modification time must not change during the upload. */
  readonly filePath?: string | undefined;
  /** Any other plaintext of fixed length, which must return the same bytes for every read of a range. */
  readonly source?: RandomAccessSource | undefined;
}

/** An opened source. */
export interface SeekableSource {
  readonly length: number;
  /** The modification time of a file in milliseconds; undefined for other sources. */
  readonly modifiedMs: number | undefined;
  /** Whether a path leads to the same file, by any name or link. */
  isFileAt(path: string): Promise<boolean>;
  /**
   * Fills `target` with the bytes from `position` on.
   *
   * @throws EnvelopeError `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED`, `SOURCE_CHANGED`
   */
  readInto(target: Uint8Array, position: number): Promise<void>;
  /** @throws EnvelopeError `SOURCE_CHANGED` when the source differs from what was opened */
  requireUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/** The most bytes that one `read` of a caller's source is called for. */
const maxReadBytes = 1024 * 1024;

/** The error for a source that has changed. */
export function sourceChanged(what: string, details: EnvelopeError["details"]): EnvelopeError {
  return new EnvelopeError("SOURCE_CHANGED", `the source has changed since the upload began: ${what}`, {
    details,
  });
}

/** Checks that an input has exactly one source. */
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

/** Opens the source of an input that {@link seekableArgument} has checked. */
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
  // Without O_NONBLOCK, opening a pipe waits for a writer.
  const file = await attempt(() => open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const stats = await attempt(() => file.stat());
    const { size, mtimeMs } = stats;
    // Pipes and devices report a size of 0.
    const fault = kindFault(stats);
    if (fault) throw fileFailed(path, "be uploaded", fault);
    return {
      length: size,
      modifiedMs: mtimeMs,
      isFileAt: (other) => attempt(() => isFileAt(file, other)),
      readInto: (target, position) => attempt(() => readFile(file, path, target, position)),
      requireUnchanged: async () => {
        const now = await attempt(() => file.stat());
        if (now.size !== size) throw sourceChanged("the file has another size", { path, size: now.size });
        if (now.mtimeMs !== mtimeMs) throw sourceChanged("the file was modified", { path });
        // Some file systems, such as /proc, report a size of 0 for files with content.
        const { bytesRead } = await attempt(() => file.read(new Uint8Array(1), 0, 1, size));
        if (bytesRead > 0) throw sourceChanged("the file contains more bytes than its size", { path, size });
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
    // A path that cannot be read does not lead to the open file.
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
    async readInto(target, position) {
      for (let filled = 0; filled < target.length; ) {
        const start = position + filled;
        const end = Math.min(start + maxReadBytes, position + target.length);
        const result = await readOnce(source, start, end, signal, idleTimeoutMs);
        const bytes = bytesOf(result);
        if (!bytes) throw wrongType("source.read: its result", "a Uint8Array", result);
        if (bytes.length !== end - start) {
          const what = `read(${start}, ${end}) returned ${bytes.length} bytes`;
          throw sourceChanged(what, { start, expectedBytes: end - start, bytes: bytes.length });
        }
        target.set(bytes, filled);
        filled += bytes.length;
      }
    },
    async requireUnchanged() {
      if (source.length !== length) throw sourceChanged("its length differs", { size: source.length });
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
