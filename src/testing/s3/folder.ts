/** The folder that an in-process S3 keeps everything in: only one that is its own, and one process at a time. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const markerName = "s3-envelope-testing.json";
const marker = JSON.stringify({ format: 1 });
const lockName = "lock";
/** The folders that this process has claimed. */
const held = new Set<string>();

/**
 * Claims a folder, which is made if it is not there.
 *
 * @returns lets go of it; may be called again
 * @throws RangeError when it holds other files; Error when a process that runs has claimed it
 */
export function claimFolder(directory: string): () => void {
  const folder = resolve(directory);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  requireOwn(folder);
  const lock = join(folder, lockName);
  const holder = holderOf(folder, lock);
  if (holder !== undefined) {
    throw new Error(
      `options.directory: "${folder}" is in use by process ${holder}; if that is another program, remove its file "${lockName}"`,
    );
  }
  rmSync(lock, { force: true });
  writeFileSync(lock, String(process.pid), { flag: "wx", mode: 0o600 });
  held.add(folder);
  let ours = true;
  return () => {
    if (!ours) return;
    ours = false;
    held.delete(folder);
    rmSync(lock, { force: true });
  };
}

function requireOwn(folder: string): void {
  const path = join(folder, markerName);
  if (!existsSync(path)) {
    if (readdirSync(folder).length > 0) {
      throw new RangeError(
        `options.directory: expected a folder that is empty, or that startLocalAws has made; "${folder}" holds other files`,
      );
    }
    writeFileSync(path, marker, { mode: 0o600 });
  } else if (readFileSync(path, "utf8") !== marker) {
    throw new RangeError(`options.directory: "${folder}" was made by another version: use a new folder`);
  }
}

/** The process that has claimed a folder. One that has our own number and is not us died in another container. */
function holderOf(folder: string, lock: string): number | undefined {
  if (held.has(folder)) return process.pid;
  if (!existsSync(lock)) return undefined;
  const holder = Number(readFileSync(lock, "utf8"));
  return Number.isSafeInteger(holder) && holder > 0 && holder !== process.pid && runs(holder)
    ? holder
    : undefined;
}

function runs(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
