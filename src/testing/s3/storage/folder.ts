/** The folder of an in-process S3: it must be its own, and one S3 uses it at a time. */
import { randomUUID } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const markerName = "s3-envelope-testing.json";
const marker = JSON.stringify({ format: 1 });
const lockName = "lock";

/**
 * Claims a folder, which is created if it is absent.
 *
 * @returns releases it; may be called again
 * @throws RangeError if it has other files; Error if it is in use
 */
export function claimFolder(directory: string): () => void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const folder = realpathSync(directory);
  requireOwn(folder);
  const lock = join(folder, lockName);
  const claim = `${process.pid} ${randomUUID()}`;
  if (!tryClaim(lock, claim)) {
    const stale = staleClaim(lock);
    if (stale === undefined || !remove(lock, stale) || !tryClaim(lock, claim)) throw inUse(folder, lock);
  }
  return () => void remove(lock, claim);
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

function tryClaim(lock: string, claim: string): boolean {
  try {
    writeFileSync(lock, claim, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** The claim in a lock whose process has ended; undefined if it may be running. */
function staleClaim(lock: string): string | undefined {
  const claim = contentOf(lock);
  const holder = holderOf(claim);
  if (Number.isNaN(holder)) return undefined;
  // Our own number: of this process, or of an earlier one with the same number, as in another container.
  const gone = holder === process.pid ? statSync(lock).mtimeMs < startedAt() : !runs(holder);
  return gone ? claim : undefined;
}

/** Removes a lock if it still has this claim. It is renamed first, so that only one of several removes it. */
function remove(lock: string, claim: string): boolean {
  if (contentOf(lock) !== claim) return false;
  const aside = `${lock}.${randomUUID()}`;
  try {
    renameSync(lock, aside);
  } catch {
    return false;
  }
  rmSync(aside);
  return true;
}

function inUse(folder: string, lock: string): Error {
  const holder = holderOf(contentOf(lock));
  const who = Number.isNaN(holder) ? "" : ` by process ${holder}`;
  return new Error(
    `options.directory: "${folder}" is in use${who}; if that is another program, remove its file "${lockName}"`,
  );
}

function holderOf(claim: string): number {
  const match = /^(\d+) /.exec(claim);
  return match ? Number(match[1]) : Number.NaN;
}

function contentOf(lock: string): string {
  try {
    return readFileSync(lock, "utf8");
  } catch {
    return "";
  }
}

function startedAt(): number {
  return Date.now() - process.uptime() * 1000;
}

function runs(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
