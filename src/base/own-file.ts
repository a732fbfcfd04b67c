/** Files in which this package keeps its own state between calls: they are used only if nobody else can have made them. */
import { constants, type Stats } from "node:fs";
import { lstat } from "node:fs/promises";

/** To open such a file with: never through a symbolic link that somebody has put there. Windows has no such flag. */
export const noFollow: number = constants.O_NOFOLLOW ?? 0;

/** Write permissions of the group and of everybody. */
const othersMayWrite = 0o022;

/**
 * Tells why an open file cannot be relied on as this user's own, by the `stat` of its handle.
 *
 * @returns undefined if it is a regular file of this user's under one name, which nobody else may write to. Windows
 *   has neither users nor such permissions: there it is a regular file under one name
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
