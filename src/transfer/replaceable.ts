/** Whether a file may take the place of what is at a path. */
import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";

/**
 * Makes sure that nothing is there, or a regular file. A file in the place of a device, a pipe or a socket breaks what
 * uses it, and one in the place of a symbolic link is not where its owner looks for it.
 *
 * @throws Error with the `code` of the file system that tells best what is there
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

/** An Error with the `code` of the file system that tells best what is there; undefined for a regular file. */
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
