/**
 * Files of this machine: the coded error for one that cannot be used, which files may be trusted or replaced, and flushing
 * them to the disk.
 */
import { constants, fdatasync, fsync, type Stats } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { promisify } from "node:util";
import { quoted } from "./bytes.js";
import { EnvelopeError } from "./errors.js";
import { serviceFailure } from "./service-failure.js";

/** The error of code `FILE_FAILED`; `what` completes "could not", such as "be written". */
export function fileFailed(path: string, what: string, cause: unknown): EnvelopeError {
  const { serviceError: fileError } = serviceFailure(cause);
  return new EnvelopeError("FILE_FAILED", `${quoted(path)} could not ${what} (${fileError}); see the cause`, {
    cause,
    details: { path, fileError },
  });
}

/** Runs an operation on a file; what it rejects with becomes {@link fileFailed}, unless it is coded already. */
export async function withFileError<T>(path: string, what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof EnvelopeError ? error : fileFailed(path, what, error);
  }
}

/** The flag that refuses to open a symbolic link, which somebody else may have put there. Windows has no such flag. */
export const noFollow: number = constants.O_NOFOLLOW ?? 0;

/** Write permissions of the group and of everybody. */
const othersMayWrite = 0o022;

/**
 * Says why a file that this package keeps between calls cannot be trusted to be this user's own.
 *
 * @param stats of the open file
 * @returns undefined for a regular file of this user with one name that nobody else may write to. Windows has neither
 *   users nor such permissions: there, a regular file with one name
 */
export function foreignFileFault(stats: Stats): string | undefined {
  if (!stats.isFile()) return "it is no regular file";
  if (stats.nlink > 1) return "it has a second name (a hard link)";
  const user = process.geteuid?.();
  if (user === undefined) return undefined;
  if (stats.uid !== user) return "it belongs to another user";
  if ((stats.mode & othersMayWrite) !== 0) return "its permissions let other users write to it";
  return undefined;
}

/** Whether a path names a symbolic link, wherever that leads. */
export async function isSymbolicLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  );
}

/**
 * Refuses a path unless it names a regular file or nothing. A file in the place of a device, a pipe or a socket breaks
 * what uses it, and one in the place of a symbolic link is not where its owner looks for it.
 *
 * @throws Error with the `code` of the file system that describes best what is there
 */
export async function requireReplaceable(path: string): Promise<void> {
  let stats: Stats;
  try {
    stats = await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const fault = kindFault(stats);
  if (fault) throw fault;
}

/** An Error with the `code` of the file system that describes best what is there; undefined for a regular file. */
export function kindFault(
  stats: Pick<Stats, "isFile" | "isDirectory" | "isSymbolicLink">,
): Error | undefined {
  if (stats.isFile()) return undefined;
  if (stats.isDirectory()) return withCode("EISDIR", "it is a folder");
  if (stats.isSymbolicLink())
    return withCode("ELOOP", "it is a symbolic link: name the file that it points to");
  return withCode("EINVAL", "it is a device, a pipe or a socket");
}

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

// By the descriptor: the file handles that Yarn's Plug'n'Play puts in place of Node's own implement neither `sync` nor
// `datasync`.
const flush = promisify(fsync);
const flushData = promisify(fdatasync);

/** Flushes content and attributes of a file to the disk. */
export function syncFile({ fd }: Pick<FileHandle, "fd">): Promise<void> {
  return flush(fd);
}

/** Flushes the content of a file, and the attributes that are needed to find it. */
export function syncFileData({ fd }: Pick<FileHandle, "fd">): Promise<void> {
  return flushData(fd);
}

/** Flushes the names in a folder. */
export async function syncFolder(path: string): Promise<void> {
  // Windows opens no folders, and needs none of this.
  if (process.platform === "win32") return;
  const folder = await open(path);
  try {
    await syncFile(folder);
  } finally {
    await folder.close();
  }
}
