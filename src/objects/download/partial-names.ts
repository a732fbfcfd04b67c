/** The names of what a download has written so far, beside the file that it will be. docs/decisions/0030-downloads-to-a-file.md explains them. */
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The names of one try: nobody else uses them unless this process is gone, or another try has taken over. */
export interface Names {
  readonly partial: string;
  readonly journal: string;
}

/** Names for a new try. */
export async function newNames(path: string): Promise<Names> {
  return namesOf(await stemOf(path), crypto.randomUUID());
}

const suffix = /^\.s3e-([0-9a-f-]{36})\.(?:partial|journal)$/;

/** What earlier tries have left of a download to this path. */
export async function leftBehind(path: string): Promise<Names[]> {
  const stem = await stemOf(path);
  const start = basename(stem);
  const ids = new Set<string>();
  for (const name of await readdir(dirname(path))) {
    const id = name.startsWith(start) ? suffix.exec(name.slice(start.length))?.[1] : undefined;
    if (id !== undefined) ids.add(id);
  }
  return [...ids].map((id) => namesOf(stem, id));
}

function namesOf(stem: string, id: string): Names {
  return { partial: `${stem}.s3e-${id}.partial`, journal: `${stem}.s3e-${id}.journal` };
}

/**
 * The most bytes that a name keeps. With a suffix of 49 it then has 143, the most that eCryptfs takes; other file systems
 * take 255.
 */
const maxStemBytes = 94;
/** Of a longer name, this many bytes of its start and a hash of all of it: half of SHA-256, as hex digits. */
const startBytes = 61;
const hashDigits = 32;

/** What the names of all tries of one file start with. */
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
