/**
 * The partial file of a download, beside its final name, and a journal that lists the blocks in it.
 * docs/decisions/0030-downloads-to-a-file.md explains the names and why no lock is needed.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError, hasCode, withDetails } from "../../base/errors.js";
import {
  foreignFileFault,
  noFollow,
  requireReplaceable,
  syncFile,
  syncFolder,
  withFileError,
} from "../../base/files.js";
import type { ChunkRange } from "../../cobblestone/layout.js";
import { isOverwritten } from "../encrypted/pinned-object.js";
import { findPartials, newNames, type PartialNames } from "./partial-names.js";

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = constants;
const ownerOnly = 0o600;

/** A partial file. Its methods throw EnvelopeError `FILE_FAILED`. */
export class PartialFile {
  readonly #path: string;
  readonly #names: PartialNames;
  readonly #partial: FileHandle;
  readonly #journal: FileHandle;
  readonly #digests: ReadonlyMap<number, Buffer>;
  #written = 0;

  constructor(
    path: string,
    names: PartialNames,
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
   * Takes over the partial file of an earlier call for the same state of the same object, removes other partial files of
   * this path, and creates one if there is none to take over.
   *
   * @param path the final name, absolute
   * @param identity one line that identifies that state
   */
  static async open(path: string, identity: string): Promise<PartialFile> {
    return asFileError(path, async () => {
      let taken: PartialFile | undefined;
      for (const names of await findPartials(path)) {
        taken ??= await takeOver(path, names, identity);
        // One that cannot be removed, as another user's in a shared folder, does not hinder this call.
        await remove(names).catch(() => undefined);
      }
      return taken ?? (await create(path, identity));
    });
  }

  /** Removes the partial files of earlier downloads to this path. */
  static async removeAll(path: string): Promise<void> {
    for (const names of await findPartials(path)) await remove(names).catch(() => undefined);
  }

  /** Its path, until {@link finish} gives it the final name. */
  get partialPath(): string {
    return this.#names.partial;
  }

  /** Whether both files still exist: other programs may remove them. */
  async #exists(): Promise<boolean> {
    const { partial, journal } = this.#names;
    return Promise.all([lstat(partial), lstat(journal)]).then(
      (found) => found.every((stats) => stats.isFile()),
      () => false,
    );
  }

  /** Whether it holds a block, which this call or an earlier one has verified. */
  get #holdsBlocks(): boolean {
    return this.#written + this.#digests.size > 0;
  }

  /** The tag digest of a block that the journal of an earlier call lists. */
  digestOf(index: number): Buffer | undefined {
    return this.#digests.get(index);
  }

  /** Reads the plaintext of a block. Returns false when the file ends before the block does. */
  read({ plaintextStart, plaintextBytes }: ChunkRange, buffer: ArrayBuffer): Promise<boolean> {
    return asFileError(this.#path, async () => {
      for (let done = 0; done < plaintextBytes; ) {
        const target = new Uint8Array(buffer, done, plaintextBytes - done);
        const { bytesRead } = await this.#partial.read(target, 0, target.length, plaintextStart + done);
        if (bytesRead === 0) return false;
        done += bytesRead;
      }
      return true;
    });
  }

  /** Writes the plaintext of a block that has been verified, then lists the block in the journal. */
  write(
    index: number,
    { plaintextStart, plaintextBytes }: ChunkRange,
    buffer: ArrayBuffer,
    tagDigest: Buffer,
  ): Promise<void> {
    return asFileError(this.#path, async () => {
      for (let done = 0; done < plaintextBytes; ) {
        const rest = new Uint8Array(buffer, done, plaintextBytes - done);
        done += (await this.#partial.write(rest, 0, rest.length, plaintextStart + done)).bytesWritten;
      }
      await this.#journal.appendFile(`${index} ${tagDigest.toString("hex")}\n`);
      this.#written += 1;
      // Fails early when another process has taken the file over.
      await lstat(this.#names.partial);
    });
  }

  /**
   * Gives the complete file its final name.
   *
   * @param fsync whether its bytes are flushed to the disk before, and its name after
   */
  finish({ bytes, fsync, mode }: { bytes: number; fsync: boolean; mode: number }): Promise<void> {
    return asFileError(this.#path, async () => {
      // An earlier call may have left a longer file.
      await this.#partial.truncate(bytes);
      if (fsync) await syncFile(this.#partial);
      try {
        if (mode !== ownerOnly) {
          // As late as possible: if the process is killed from here on, the next call may not be able to resume.
          await this.#partial.chmod(mode);
          if (fsync) await syncFile(this.#partial);
        }
        await this.close();
        // Checked again: the check before the first request may have been long ago.
        await requireReplaceable(this.#path);
        await rename(this.#names.partial, this.#path);
      } catch (error) {
        if (mode !== ownerOnly) await restrict(this.#names.partial).catch(() => undefined);
        throw error;
      }
      // Only after the rename: if that fails, the next call can still resume.
      await rm(this.#names.journal, { force: true });
      if (fsync) await syncFolder(dirname(this.#path));
    });
  }

  /**
   * Keeps or removes the files of a failed call.
   *
   * @param keepPartial as the caller states it; by default they are kept if the next call may succeed
   * @param isCallersReason whether the error is the reason of the caller's signal
   * @returns the error, with `details.partialPath` if the files are kept
   */
  async keepOrRemove(
    error: unknown,
    keepPartial: boolean | undefined,
    isCallersReason: boolean,
  ): Promise<unknown> {
    await this.close().catch(() => undefined);
    const isKept = keepPartial ?? (!isCallersReason && this.#mayResumeAfter(error));
    if (!isKept || isOverwritten(error)) {
      await remove(this.#names).catch(() => undefined);
      return error;
    }
    if (!(error instanceof EnvelopeError) || isCallersReason || !(await this.#exists())) return error;
    const { partialPath } = this;
    const message = `${error.message}. The verified bytes are kept in ${quoted(partialPath)} for the next call`;
    return withDetails(error, { partialPath }, message);
  }

  /** Whether the next call may succeed in resuming. */
  #mayResumeAfter(error: unknown): boolean {
    if (!(error instanceof EnvelopeError)) return false;
    if (error.retryable || hasCode(error, "FILE_FAILED") || hasCode(error, "S3_ACCESS_DENIED")) return true;
    // One bad response is no reason to discard hours of verified bytes.
    return this.#holdsBlocks && (hasCode(error, "DECRYPTION_FAILED") || hasCode(error, "S3_REQUEST_FAILED"));
  }

  /** Closes both files and leaves them in place. May be called again. */
  async close(): Promise<void> {
    await Promise.all([this.#partial.close(), this.#journal.close()]);
  }
}

function asFileError<T>(path: string, act: () => Promise<T>): Promise<T> {
  return withFileError(path, "be written", act);
}

/** Restores the first mode of a partial file: no call resumes a file that others may write to. */
async function restrict(partial: string): Promise<void> {
  // For reading, since the mode may permit nobody to write.
  const file = await open(partial, O_RDONLY | noFollow);
  try {
    await file.chmod(ownerOnly);
  } finally {
    await file.close();
  }
}

async function create(path: string, identity: string): Promise<PartialFile> {
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

/** Renames a partial file to new names, and takes it over if it is of this state of the object and of this user. */
async function takeOver(
  path: string,
  left: PartialNames,
  identity: string,
): Promise<PartialFile | undefined> {
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
      // An earlier call may have applied the final mode before its rename failed. Some file systems have no modes.
      if (digests) await partial.chmod(ownerOnly).catch(() => undefined);
      if (digests) return new PartialFile(path, names, { partial, journal }, digests);
    }
  } catch {
    // One of the two is missing or no file, or another process was faster: they cannot be resumed.
  }
  await partial?.close();
  await journal?.close();
  await remove(names).catch(() => undefined);
  return undefined;
}

/** The tag digests of the blocks that a journal lists; undefined if it has another identity. Incomplete lines are skipped. */
function parseJournal(text: string, identity: string): ReadonlyMap<number, Buffer> | undefined {
  const [first, ...lines] = text.split("\n");
  if (first !== Buffer.from(identity).toString("latin1")) return undefined;
  // The text after the last line break is an incomplete line.
  lines.pop();
  const digests = new Map<number, Buffer>();
  for (const line of lines) {
    const [, index, digest = ""] = /^(\d{1,10}) ([0-9a-f]{64})$/.exec(line) ?? [];
    if (index !== undefined) digests.set(Number(index), Buffer.from(digest, "hex"));
  }
  return digests;
}

async function remove({ partial, journal }: PartialNames): Promise<void> {
  await rm(partial, { force: true });
  await rm(journal, { force: true });
}
