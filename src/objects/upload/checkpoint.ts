/** The file by which an upload goes on after a crash: what was begun, before its first byte is sent, and what is done. */
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { EnvelopeError } from "../../base/errors.js";
import {
  fileFailed,
  foreignFileFault,
  isSymbolicLink,
  noFollow,
  syncFileData,
  syncFolder,
  withFileError,
} from "../../base/files.js";
import {
  type CheckpointHeader,
  type CheckpointState,
  checkpointFormat,
  claimOf,
  foreignCheckpoint,
  isTornFirstLine,
  parseCheckpoint,
} from "./checkpoint-lines.js";
import type { RecordedSeal, UploadedPart } from "./parts.js";

const maxFileBytes = 64 * 1024 * 1024;

/**
 * A file of JSON lines that only grows. Every line is on the disk before the next step. Of several processes with one
 * file the one that claimed it last goes on: each claims it by a line with an id of its own, which is appended in one
 * piece, and looks before and after every line that it writes, and before it completes the upload, whether another's
 * claim has come after its own. Then it stops. So the order of the claims in the file decides, no two processes can
 * both go on or both stop, and no lock can be left behind.
 */
export class Checkpoint {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #id = crypto.randomUUID();
  /** What has been looked through for claims, in bytes. */
  #seen = 0;
  /** Whether this process has made the file or claimed it: until then any line of another's is a reason to stop. */
  #isClaimed: boolean;
  #isLost = false;
  #hasBegun = false;
  #last: Promise<void> = Promise.resolve();
  #recorded: CheckpointState | undefined;

  private constructor(path: string, file: FileHandle, isClaimed: boolean) {
    this.path = path;
    this.#file = file;
    this.#isClaimed = isClaimed;
  }

  /**
   * Opens a checkpoint; undefined when there is none.
   *
   * @throws EnvelopeError `FILE_FAILED`; `CHECKPOINT_INVALID` also when others can have written it
   */
  static async find(path: string): Promise<Checkpoint | undefined> {
    let file: FileHandle;
    const { O_RDWR, O_APPEND, O_NONBLOCK } = constants;
    try {
      if (noFollow === 0) await requireNoLink(path);
      file = await open(path, O_RDWR | O_APPEND | O_NONBLOCK | noFollow);
    } catch (error) {
      await requireNoLink(path);
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw fileFailed(path, "be opened", error);
    }
    const checkpoint = new Checkpoint(path, file, false);
    try {
      checkpoint.#recorded = await checkpoint.#read();
    } catch (error) {
      await file.close();
      throw error;
    }
    return checkpoint;
  }

  /**
   * Makes the file, which must not be there.
   *
   * @throws EnvelopeError `FILE_FAILED`; `CHECKPOINT_INVALID` when another process has made it
   */
  static async make(path: string): Promise<Checkpoint> {
    const { O_RDWR, O_APPEND, O_CREAT, O_EXCL } = constants;
    try {
      return new Checkpoint(path, await open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, 0o600), true);
    } catch (error) {
      await requireNoLink(path);
      if ((error as NodeJS.ErrnoException).code === "EEXIST") throw takenOver(path);
      throw fileFailed(path, "be made", error);
    }
  }

  /** What was found, unless there was nothing: a first line that was not finished says that nothing was begun. */
  get recorded(): CheckpointState | undefined {
    return this.#recorded;
  }

  /** Writes the first line. */
  async begin(header: CheckpointHeader): Promise<void> {
    await this.#append({ format: checkpointFormat, ...header });
    await this.#syncFolder();
  }

  /**
   * Claims the file for this process: any other stops at its next step.
   *
   * @returns what the file says by now: another process may have gone on since it was found
   * @throws EnvelopeError `CHECKPOINT_INVALID` when another process has claimed it after this one
   */
  async takeOver(): Promise<CheckpointState> {
    this.#isClaimed = true;
    // What a crash or a full disk left of a line ends with the line break before.
    await this.#write(`\n${JSON.stringify({ resumed: this.#id })}\n`);
    const recorded = await this.#read();
    await this.requireOwn();
    if (recorded?.read.ticket.mac === this.#recorded?.read.ticket.mac && recorded) return recorded;
    throw takenOver(this.path);
  }

  /** Has it on the disk that a part is about to be sent. */
  begun(partNumber: number, { tagDigest, firstTag, lastTag, mac }: RecordedSeal): Promise<void> {
    return this.#append({ begun: partNumber, tagDigest, firstTag, lastTag, mac });
  }

  done(part: UploadedPart): Promise<void> {
    return this.#append({ done: part });
  }

  /** Whether there is a first line, so that the upload may be somebody else's to end. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether no other process has gone on with it. */
  async isOwn(): Promise<boolean> {
    const { size, nlink } = await this.#attempt(() => this.#file.stat());
    if (nlink === 0 || size < this.#seen || size - this.#seen > maxFileBytes) return false;
    if (size > this.#seen) {
      if (!this.#isClaimed) return false;
      const start = this.#seen;
      const bytes = await this.#bytes(start, size);
      const whole = bytes.lastIndexOf("\n") + 1;
      const claim = lastClaim(bytes.toString("utf8", 0, whole).split("\n"));
      if (claim !== undefined && claim !== this.#id) this.#isLost = true;
      // Another look may have come further meanwhile.
      this.#seen = Math.max(this.#seen, start + whole);
    }
    return !this.#isLost;
  }

  /** @throws EnvelopeError `CHECKPOINT_INVALID` when another process has gone on with it */
  async requireOwn(): Promise<void> {
    if (await this.isOwn()) return;
    throw takenOver(this.path);
  }

  /** Removes the file, unless it is another process's by now. */
  async remove(): Promise<void> {
    if (!(await this.isOwn())) return;
    await this.#attempt(() => unlink(this.path), "be removed");
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** One line after the other, each flushed: a loss of power must not forget that a part was begun. */
  #append(record: object): Promise<void> {
    const append = async () => {
      await this.requireOwn();
      await this.#write(`${JSON.stringify(record)}\n`);
      await this.requireOwn();
    };
    this.#last = this.#last.then(append);
    return this.#last;
  }

  #write(text: string): Promise<void> {
    const line = Buffer.from(text);
    return this.#attempt(async () => {
      // A full disk takes a part of a line, and fails at the rest.
      for (let done = 0; done < line.length; ) {
        const { bytesWritten } = await this.#file.write(line, done, line.length - done);
        if (bytesWritten === 0) throw new Error("the file takes no more bytes");
        done += bytesWritten;
      }
      // From here on another process can go on with it, whatever becomes of this one.
      this.#hasBegun = true;
      await syncFileData(this.#file);
    });
  }

  async #read(): Promise<CheckpointState | undefined> {
    const stats = await this.#attempt(() => this.#file.stat());
    const fault = foreignFileFault(stats);
    if (stats.nlink === 0) throw takenOver(this.path);
    if (fault !== undefined) throw foreignCheckpoint(this.path, fault);
    if (stats.size > maxFileBytes) throw foreignCheckpoint(this.path, "it is too long");
    const bytes = await this.#bytes(0, stats.size);
    const whole = bytes.lastIndexOf("\n") + 1;
    const lines = bytes.toString("utf8", 0, whole).split("\n").slice(0, -1);
    // Whatever else it is, it must not be removed.
    if (lines.length === 0 && !isTornFirstLine(bytes.toString("latin1"))) {
      throw foreignCheckpoint(this.path, "it is another file");
    }
    const recorded = lines.length === 0 ? undefined : await parseCheckpoint(this.path, lines);
    this.#hasBegun = recorded !== undefined;
    if (this.#isClaimed) this.#isLost = lastClaim(lines) !== this.#id;
    // Before it is claimed, also what a crash left of a line.
    this.#seen = this.#isClaimed ? whole : stats.size;
    return recorded;
  }

  /** What is in the file from one offset to another. */
  async #bytes(start: number, end: number): Promise<Buffer> {
    const bytes = Buffer.alloc(end - start);
    let filled = 0;
    while (filled < bytes.length) {
      const read = () => this.#file.read(bytes, filled, bytes.length - filled, start + filled);
      const { bytesRead } = await this.#attempt(read, "be read");
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  /** The name of a new file, too. Some systems cannot open folders. */
  async #syncFolder(): Promise<void> {
    try {
      await syncFolder(dirname(this.path));
    } catch {}
  }

  #attempt<T>(act: () => Promise<T>, what = "be written"): Promise<T> {
    return withFileError(this.path, what, act);
  }
}

/** A link could lead to a file that is somebody else's to choose, or to none. */
async function requireNoLink(path: string): Promise<void> {
  if (!(await isSymbolicLink(path))) return;
  throw foreignCheckpoint(path, "it is a symbolic link, which is not followed: name the file itself");
}

/** The last of the claims in these lines, if there is one. */
function lastClaim(lines: readonly string[]): unknown {
  return lines.map(claimOf).findLast((claim) => claim !== undefined);
}

function takenOver(path: string): EnvelopeError {
  return new EnvelopeError(
    "CHECKPOINT_INVALID",
    `another process has gone on with the checkpoint "${path}", or has ended it: this one stops`,
    { details: { path } },
  );
}
