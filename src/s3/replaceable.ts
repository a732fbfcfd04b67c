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
  if (stats.isFile()) return;
  if (stats.isDirectory()) throw withCode("EISDIR", "it is a folder");
  if (stats.isSymbolicLink())
    throw withCode("ELOOP", "it is a symbolic link: name the file that it points to");
  throw withCode("EINVAL", "it is a device, a pipe or a socket");
}

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
