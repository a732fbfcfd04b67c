/**
 * Has what was written of a file on the disk. By the descriptor: the file handles that Yarn's Plug'n'Play puts in place of
 * Node's own implement neither `sync` nor `datasync`.
 */
import { fdatasync, fsync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";

const flush = promisify(fsync);
const flushData = promisify(fdatasync);

/** Flushes content and attributes. */
export function syncFile({ fd }: Pick<FileHandle, "fd">): Promise<void> {
  return flush(fd);
}

/** Flushes the content and what it takes to find it. */
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
