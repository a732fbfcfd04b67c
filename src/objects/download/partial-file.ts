/**
 * What of a download is there so far: a file beside its final name, and a journal that says which windows are in it.
 * docs/decisions/0030-downloads-to-a-file.md explains the names and why no lock is needed.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  foreignFileFault,
  noFollow,
  requireReplaceable,
  syncFile,
  syncFolder,
  withFileError,
} from "../../base/files.js";
import type { ChunkRange } from "../../cobblestone/layout.js";
import { leftBehind, type Names, newNames } from "./partial-names.js";

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = constants;
const ownerOnly = 0o600;

/** A file that is being downloaded. Every method throws EnvelopeError `FILE_FAILED`. */
export class PartialFile {
  readonly #path: string;
  readonly #names: Names;
  readonly #partial: FileHandle;
  readonly #journal: FileHandle;
  readonly #digests: ReadonlyMap<number, Buffer>;
  #written = 0;

  constructor(
    path: string,
    names: Names,
    handles: { readonly partial: FileHandle; readonly journal: FileHandle },
    digests: ReadonlyMap<number, Buffer>,
  ) {
    this.#path = path;
    this.#names = names;
    this.#partial = handles.partial;
    this.#journal = handles.journal;
    this.#digests = digests;
  }

  /**
   * Takes over what an earlier try has left of the same state of the same object, removes what others have left,
   * and begins a file if there is none.
   *
   * @param path the final name, absolute
   * @param identity one line that tells that state from all others
   */
  static async open(path: string, identity: string): Promise<PartialFile> {
    return told(path, async () => {
      let found: PartialFile | undefined;
      for (const left of await leftBehind(path)) {
        found ??= await takeOver(path, left, identity);
        // What cannot be removed, as another user's in a folder of everybody's, is nothing that this call needs.
        await remove(left).catch(() => undefined);
      }
      return found ?? (await begin(path, identity));
    });
  }

  /** Removes what earlier tries have left of downloads to this path. */
  static async removeAll(path: string): Promise<void> {
    for (const left of await leftBehind(path)) await remove(left).catch(() => undefined);
  }

  /** Where it is, until it is finished. */
  get partialPath(): string {
    return this.#names.partial;
  }

  /** Whether both files are there still: nobody keeps others from removing them. */
  async exists(): Promise<boolean> {
    const { partial, journal } = this.#names;
    return Promise.all([lstat(partial), lstat(journal)]).then(
      (found) => found.every((stats) => stats.isFile()),
      () => false,
    );
  }

  /** Whether it holds a window that has been verified, by this try or an earlier one. */
  get holdsBlocks(): boolean {
    return this.#written + this.#digests.size > 0;
  }

  /** What the journal says of a window, if that was finished: what it then had as its tagDigest. */
  digestOf(index: number): Buffer | undefined {
    return this.#digests.get(index);
  }

  /** Reads a window; false when the file ends before it does. */
  read({ plaintextStart, plaintextBytes }: ChunkRange, slab: ArrayBuffer): Promise<boolean> {
    return this.#told(async () => {
      for (let done = 0; done < plaintextBytes; ) {
        const target = new Uint8Array(slab, done, plaintextBytes - done);
        const { bytesRead } = await this.#partial.read(target, 0, target.length, plaintextStart + done);
        if (bytesRead === 0) return false;
        done += bytesRead;
      }
      return true;
    });
  }

  /** Writes a window that has been verified, then says so in the journal. */
  write(
    index: number,
    { plaintextStart, plaintextBytes }: ChunkRange,
    slab: ArrayBuffer,
    tagDigest: Buffer,
  ): Promise<void> {
    return this.#told(async () => {
      for (let done = 0; done < plaintextBytes; ) {
        const rest = new Uint8Array(slab, done, plaintextBytes - done);
        done += (await this.#partial.write(rest, 0, rest.length, plaintextStart + done)).bytesWritten;
      }
      await this.#journal.appendFile(`${index} ${tagDigest.toString("hex")}\n`);
      this.#written += 1;
      // Fails when another try has taken over: no need to go on to the end.
      await lstat(this.#names.partial);
    });
  }

  /**
   * Gives the whole file its final name.
   *
   * @param fsync whether all of it is on the disk first, and the name after
   */
  finish({ bytes, fsync, mode }: { bytes: number; fsync: boolean; mode: number }): Promise<void> {
    return this.#told(async () => {
      // Another try may have had a longer file; no bytes of it are wanted.
      await this.#partial.truncate(bytes);
      if (fsync) await syncFile(this.#partial);
      try {
        if (mode !== ownerOnly) {
          // As late as can be: a call that is killed now leaves what the next may have to begin anew.
          await this.#partial.chmod(mode);
          if (fsync) await syncFile(this.#partial);
        }
        await this.close();
        // It was looked at before the first request, which may be long ago.
        await requireReplaceable(this.#path);
        await rename(this.#names.partial, this.#path);
      } catch (error) {
        if (mode !== ownerOnly) await restrict(this.#names.partial).catch(() => undefined);
        throw error;
      }
      // Not before: where the name cannot be given, the next call shall not have to begin anew.
      await rm(this.#names.journal, { force: true });
      if (fsync) await syncFolder(dirname(this.#path));
    });
  }

  /** Closes both files, which stay. May be called again. */
  async close(): Promise<void> {
    await Promise.all([this.#partial.close(), this.#journal.close()]);
  }

  /** Removes both files. */
  async remove(): Promise<void> {
    await remove(this.#names);
  }

  #told<T>(act: () => Promise<T>): Promise<T> {
    return told(this.#path, act);
  }
}

function told<T>(path: string, act: () => Promise<T>): Promise<T> {
  return withFileError(path, "be written", act);
}

/** Gives a partial file its first mode back: what others may write to, no call goes on with. */
async function restrict(partial: string): Promise<void> {
  // Of a mode that lets nobody write, too.
  const file = await open(partial, O_RDONLY | noFollow);
  try {
    await file.chmod(ownerOnly);
  } finally {
    await file.close();
  }
}

async function begin(path: string, identity: string): Promise<PartialFile> {
  const names = await newNames(path);
  const flags = O_RDWR | O_CREAT | O_EXCL | noFollow;
  const partial = await open(names.partial, flags, ownerOnly);
  try {
    const journal = await open(names.journal, flags | O_APPEND, ownerOnly);
    await journal.appendFile(`${identity}\n`);
    return new PartialFile(path, names, { partial, journal }, new Map());
  } catch (error) {
    await partial.close();
    await remove(names);
    throw error;
  }
}

/** Goes on with what is there, under names of its own, if it is of this state of the object and nobody else's. */
async function takeOver(path: string, left: Names, identity: string): Promise<PartialFile | undefined> {
  const names = await newNames(path);
  let partial: FileHandle | undefined;
  let journal: FileHandle | undefined;
  try {
    await rename(left.partial, names.partial);
    await rename(left.journal, names.journal);
    partial = await open(names.partial, O_RDWR | noFollow);
    journal = await open(names.journal, O_RDWR | O_APPEND | noFollow);
    const fault = foreignFileFault(await partial.stat()) ?? foreignFileFault(await journal.stat());
    if (fault === undefined) {
      const digests = parseJournal(await journal.readFile("latin1"), identity);
      // A call that was killed before it could give it its final name may have given it a mode. Some file systems have none.
      if (digests) await partial.chmod(ownerOnly).catch(() => undefined);
      if (digests) return new PartialFile(path, names, { partial, journal }, digests);
    }
  } catch {
    // One of the two is missing, or is no file, or another try was faster: it is of no use.
  }
  await partial?.close();
  await journal?.close();
  await remove(names).catch(() => undefined);
  return undefined;
}

/** The windows that a journal lists, unless it is another object's. A line that was not written whole is passed over. */
function parseJournal(text: string, identity: string): ReadonlyMap<number, Buffer> | undefined {
  const [first, ...lines] = text.split("\n");
  if (first !== Buffer.from(identity).toString("latin1")) return undefined;
  // What follows the last line break was not written whole.
  lines.pop();
  const digests = new Map<number, Buffer>();
  for (const line of lines) {
    const [, index, digest = ""] = /^(\d{1,10}) ([0-9a-f]{64})$/.exec(line) ?? [];
    if (index !== undefined) digests.set(Number(index), Buffer.from(digest, "hex"));
  }
  return digests;
}

async function remove({ partial, journal }: Names): Promise<void> {
  await rm(partial, { force: true });
  await rm(journal, { force: true });
}
