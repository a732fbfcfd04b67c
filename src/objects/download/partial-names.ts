/** The names of partial files and their journals. docs/decisions/0030-downloads-to-a-file.md explains them. */
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The paths of a partial file and its journal. Only the call that chose them uses them, until another takes them over. */
export interface PartialNames {
  readonly partial: string;
  readonly journal: string;
}

/** New names for a download to this path. */
export async function newNames(path: string): Promise<PartialNames> {
  return namesOf(await stemOf(path), crypto.randomUUID());
}

const suffix = /^\.s3e-([0-9a-f-]{36})\.(?:partial|journal)$/;

/** Finds the partial files of earlier downloads to this path. */
export async function findPartials(path: string): Promise<PartialNames[]> {
  const stem = await stemOf(path);
  const start = basename(stem);
  const ids = new Set<string>();
  for (const name of await readdir(dirname(path))) {
    const id = name.startsWith(start) ? suffix.exec(name.slice(start.length))?.[1] : undefined;
    if (id !== undefined) ids.add(id);
  }
  return [...ids].map((id) => namesOf(stem, id));
}

function namesOf(stem: string, id: string): PartialNames {
  return { partial: `${stem}.s3e-${id}.partial`, journal: `${stem}.s3e-${id}.journal` };
}

/**
 * The most bytes of a file name that are kept. With a suffix of 49 bytes the result has 143, the most that eCryptfs
 * permits; other file systems permit 255.
 */
const maxStemBytes = 94;
/** A longer name is replaced by this many bytes of its start and half of its SHA-256, as hex digits. */
const startBytes = 61;
const hashDigits = 32;

/** The common start of the names of all partial files for a path. */
async function stemOf(path: string): Promise<string> {
  const name = Buffer.from(basename(path));
  if (name.length <= maxStemBytes) return path;
  const hash = Buffer.from(await crypto.subtle.digest("SHA-256", name)).toString("hex");
  const start = name
    .subarray(0, startBytes)
    .toString()
    .replace(/\ufffd+$/, "");
  return join(dirname(path), `${start}~${hash.slice(0, hashDigits)}`);
}
