/**
 * The checkpoint of an upload: a file of JSON lines that records each part before its first byte is sent, and again once
 * S3 has stored it, so that the upload can be resumed after a crash.
 */
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { stringArgument } from "../../base/arguments.js";
import { EnvelopeError } from "../../base/errors.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import {
  fileFailed,
  foreignFileFault,
  isSymbolicLink,
  noFollow,
  syncFileData,
  syncFolder,
  withFileError,
} from "../../base/files.js";
import type { WriteRequest } from "../put/write-arguments.js";
import { PartGuard } from "./part-guard.js";
import {
  readStarted,
  readUploaded,
  type StartedPart,
  type UploadedPart,
  verifiesStarted,
  verifiesUploaded,
} from "./parts.js";
import { invalidRecord, macPattern, type RecordKey, RecordReader } from "./records.js";
import { customerKeyMd5, type ParsedTicket, parseTicket, type UploadTicket } from "./ticket.js";

const checkpointFormat = "s3-envelope/checkpoint 1";
const maxFileBytes = 64 * 1024 * 1024;

/** The first line: the upload, and the input that it began with. */
export interface CheckpointHeader {
  readonly ticket: UploadTicket;
  /** The caller's input as JSON, without keys. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Authenticates the fields under the data key of the upload. */
  readonly mac: string;
}

/** The contents of a checkpoint. They are not authenticated until {@link requireAuthentic} returns. */
export interface CheckpointState extends Omit<CheckpointHeader, "ticket"> {
  readonly parsed: ParsedTicket;
  /** Parts that were about to be sent, by number. Includes those that were completed. */
  readonly started: ReadonlyMap<number, StartedPart>;
  /** Parts that S3 has stored, by number. */
  readonly completed: ReadonlyMap<number, UploadedPart>;
}

/** Checks the path of a checkpoint. */
export function checkpointPathArgument(value: unknown): string {
  return stringArgument("checkpointPath", value);
}

/** Makes the header of a new checkpoint. */
export function checkpointHeader(
  recordKey: RecordKey,
  ticket: UploadTicket,
  request: WriteRequest,
): CheckpointHeader {
  const fields = fieldsOf(request);
  return { ticket, fields, mac: recordKey.macOf("checkpoint", ticket.mac, fields) };
}

/** The caller's input as a checkpoint stores it: JSON, without keys. */
function fieldsOf({ put, userMetadata, storage }: WriteRequest): Readonly<Record<string, unknown>> {
  const { SSECustomerKey: _key, ...fields } = put;
  const Metadata = Object.fromEntries(Object.entries(userMetadata).sort());
  const SSECustomerKeyMD5 = customerKeyMd5(put);
  return JSON.parse(JSON.stringify({ ...fields, SSECustomerKeyMD5, Metadata, envelopeStorage: storage }));
}

/**
 * Compares the input and the object of a call with those that the upload began with.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` that names the field
 */
export function requireSameRequest(
  path: string,
  { fields: before, parsed: { ticket } }: CheckpointState,
  request: WriteRequest,
): void {
  const now = fieldsOf(request);
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (JSON.stringify(before[name]) === JSON.stringify(now[name])) continue;
    throw invalidRecord(name, "it is not what the upload of the checkpoint began with", { path });
  }
  const { bucket, key } = request.target;
  if (ticket.Bucket !== bucket)
    throw invalidRecord("ticket.Bucket", "it is not the bucket that the call names", { path });
  if (ticket.Key !== key)
    throw invalidRecord("ticket.Key", "it is not the key that the call names", { path });
}

/**
 * Verifies the MACs of all lines of a checkpoint. That of its ticket has been verified before.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID`
 */
export async function requireAuthentic(
  path: string,
  recordKey: RecordKey,
  { parsed, fields, mac, started, completed }: CheckpointState,
): Promise<void> {
  const ticketMac = parsed.ticket.mac;
  const changed = (field: string) =>
    invalidRecord(field, "it was changed after it was written, or it belongs to another upload", { path });
  if (!recordKey.verifies("checkpoint", ticketMac, fields, mac)) throw changed("fields");
  for (const [partNumber, part] of started) {
    if (shouldYield()) await yieldToEventLoop();
    if (!verifiesStarted(recordKey, ticketMac, partNumber, part)) throw changed("begun");
  }
  for (const part of completed.values()) {
    if (shouldYield()) await yieldToEventLoop();
    if (!verifiesUploaded(recordKey, ticketMac, part)) throw changed("done");
  }
}

/**
 * An open checkpoint, which only grows. Every line is on the disk before the next step. Among several processes with
 * one file, the one that claimed it last continues: each process claims it by appending a line with an id of its own in
 * one piece, and checks before and after every line that it writes, and before it completes the upload, whether another
 * claim follows its own. If one does, it stops. So the order of the claims in the file decides: two processes cannot
 * both continue or both stop, and no lock can be left behind.
 */
export class Checkpoint {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #id = crypto.randomUUID();
  /** Number of bytes that have been searched for claims. */
  #searched = 0;
  /** Whether this process has created or claimed the file. Until then, any line of another process makes it stop. */
  #isClaimed: boolean;
  #isLost = false;
  #hasHeader = false;
  #lastAppend: Promise<void> = Promise.resolve();
  #recorded: CheckpointState | undefined;

  private constructor(path: string, file: FileHandle, isClaimed: boolean) {
    this.path = path;
    this.#file = file;
    this.#isClaimed = isClaimed;
  }

  /**
   * Opens a checkpoint.
   *
   * @returns undefined when there is none
   * @throws EnvelopeError `FILE_FAILED`; `CHECKPOINT_INVALID` also when another user can have written it
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
   * Creates the file, which must not exist.
   *
   * @throws EnvelopeError `FILE_FAILED`; `CHECKPOINT_INVALID` when another process has created it
   */
  static async create(path: string): Promise<Checkpoint> {
    const { O_RDWR, O_APPEND, O_CREAT, O_EXCL } = constants;
    try {
      return new Checkpoint(path, await open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, 0o600), true);
    } catch (error) {
      await requireNoLink(path);
      if ((error as NodeJS.ErrnoException).code === "EEXIST") throw takenOver(path);
      throw fileFailed(path, "be made", error);
    }
  }

  /** The contents that {@link find} read. Undefined when the first line is incomplete, since nothing was begun then. */
  get recorded(): CheckpointState | undefined {
    return this.#recorded;
  }

  /** Writes the first line. */
  async recordHeader(header: CheckpointHeader): Promise<void> {
    await this.#append({ format: checkpointFormat, ...header });
    await this.#syncFolder();
  }

  /**
   * Claims the file for this process: every other process stops at its next step.
   *
   * @returns the current contents: another process may have continued since {@link find}
   * @throws EnvelopeError `CHECKPOINT_INVALID` when another process has claimed it after this one
   */
  async takeOver(): Promise<CheckpointState> {
    this.#isClaimed = true;
    // The line break first ends an incomplete line that a crash or a full disk has left.
    await this.#write(`\n${JSON.stringify({ resumed: this.#id })}\n`);
    const recorded = await this.#read();
    await this.requireOwn();
    if (recorded?.parsed.ticket.mac === this.#recorded?.parsed.ticket.mac && recorded) return recorded;
    throw takenOver(this.path);
  }

  /** Records that a part is about to be sent. The line is on the disk when this resolves. */
  recordStarted(partNumber: number, { tagDigest, firstTag, lastTag, mac }: StartedPart): Promise<void> {
    return this.#append({ begun: partNumber, tagDigest, firstTag, lastTag, mac });
  }

  /** Records that S3 has stored a part. */
  recordCompleted(part: UploadedPart): Promise<void> {
    return this.#append({ done: part });
  }

  /** Whether the first line may be on the disk, from which another process can resume the upload. */
  get hasHeader(): boolean {
    return this.#hasHeader;
  }

  /** Whether no other process has taken over. */
  async isOwn(): Promise<boolean> {
    const { size, nlink } = await this.#attempt(() => this.#file.stat());
    if (nlink === 0 || size < this.#searched || size - this.#searched > maxFileBytes) return false;
    if (size > this.#searched) {
      if (!this.#isClaimed) return false;
      const start = this.#searched;
      const bytes = await this.#bytes(start, size);
      const wholeLines = bytes.lastIndexOf("\n") + 1;
      const claim = lastClaim(bytes.toString("utf8", 0, wholeLines).split("\n"));
      if (claim !== undefined && claim !== this.#id) this.#isLost = true;
      // A concurrent call may have searched further.
      this.#searched = Math.max(this.#searched, start + wholeLines);
    }
    return !this.#isLost;
  }

  /** @throws EnvelopeError `CHECKPOINT_INVALID` when another process has taken over */
  async requireOwn(): Promise<void> {
    if (await this.isOwn()) return;
    throw takenOver(this.path);
  }

  /** Removes the file, unless another process has taken over. */
  async remove(): Promise<void> {
    if (!(await this.isOwn())) return;
    await this.#attempt(() => unlink(this.path), "be removed");
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Appends lines one after the other and flushes each: a part that was begun must survive a loss of power. */
  #append(record: object): Promise<void> {
    const append = async () => {
      await this.requireOwn();
      await this.#write(`${JSON.stringify(record)}\n`);
      await this.requireOwn();
    };
    this.#lastAppend = this.#lastAppend.then(append);
    return this.#lastAppend;
  }

  #write(text: string): Promise<void> {
    const line = Buffer.from(text);
    return this.#attempt(async () => {
      // A full disk takes some bytes of a line and fails at the next write.
      for (let done = 0; done < line.length; ) {
        const { bytesWritten } = await this.#file.write(line, done, line.length - done);
        if (bytesWritten === 0) throw new Error("the file takes no more bytes");
        done += bytesWritten;
      }
      // From now on another process can resume from it, even if this one fails.
      this.#hasHeader = true;
      await syncFileData(this.#file);
    });
  }

  async #read(): Promise<CheckpointState | undefined> {
    const stats = await this.#attempt(() => this.#file.stat());
    const fault = foreignFileFault(stats);
    if (stats.nlink === 0) throw takenOver(this.path);
    if (fault !== undefined) throw invalidCheckpoint(this.path, fault);
    if (stats.size > maxFileBytes) throw invalidCheckpoint(this.path, "it is larger than 64 MiB");
    const bytes = await this.#bytes(0, stats.size);
    const wholeLines = bytes.lastIndexOf("\n") + 1;
    const lines = bytes.toString("utf8", 0, wholeLines).split("\n").slice(0, -1);
    // A file of another kind is never removed.
    if (lines.length === 0 && !isTornFirstLine(bytes.toString("latin1"))) {
      throw invalidCheckpoint(this.path, "it is not a checkpoint");
    }
    const recorded = lines.length === 0 ? undefined : await parseCheckpoint(this.path, lines);
    this.#hasHeader = recorded !== undefined;
    if (this.#isClaimed) this.#isLost = lastClaim(lines) !== this.#id;
    // Before the claim, an incomplete line counts as searched, too.
    this.#searched = this.#isClaimed ? wholeLines : stats.size;
    return recorded;
  }

  /** Reads the file from one offset to another. */
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

  /** Flushes the name of a new file. Some file systems cannot open folders. */
  async #syncFolder(): Promise<void> {
    try {
      await syncFolder(dirname(this.path));
    } catch {}
  }

  #attempt<T>(act: () => Promise<T>, what = "be written"): Promise<T> {
    return withFileError(this.path, what, act);
  }
}

/**
 * Parses the lines of a checkpoint. 10,000 parts have 20,000 lines, so it yields to the event loop.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID`
 */
export async function parseCheckpoint(path: string, lines: readonly string[]): Promise<CheckpointState> {
  const [firstLine, ...others] = lines
    .map((text, index) => ({ text, line: index + 1 }))
    .filter(({ text, line }) => text !== "" && !isTorn(text, lines[line]));
  if (!firstLine) throw invalidCheckpoint(path, "it is not a checkpoint");
  const first = readerOf(path, firstLine);
  if (first.text("format") !== checkpointFormat)
    throw first.invalid("format", `this release supports only "${checkpointFormat}"`);
  const parsed = parseTicket("ticket", first.record("ticket"));
  const [fields, mac] = [first.record("fields"), first.text("mac", macPattern)];
  first.end();
  const { ticket } = parsed;
  const guard = new PartGuard(ticket);
  const started = new Map<number, StartedPart>();
  const completed = new Map<number, UploadedPart>();
  for (const other of others) {
    if (shouldYield()) await yieldToEventLoop();
    const line = readerOf(path, other);
    if (line.has("begun")) {
      const partNumber = line.integer("begun", 1, ticket.partCount);
      const part = readStarted(line);
      try {
        guard.require(partNumber, part);
      } catch {
        throw line.invalid("begun", "it contradicts an earlier line");
      }
      started.set(partNumber, part);
    } else if (line.has("done")) {
      const part = readUploaded(new RecordReader("done", line.record("done"), { path }), ticket);
      const known = started.get(part.PartNumber)?.tagDigest;
      if (known !== part.tagDigest)
        throw line.invalid("done", "no earlier line begins the part with this digest");
      completed.set(part.PartNumber, part);
    } else line.text("resumed");
    line.end();
  }
  return { parsed, fields, mac, started, completed };
}

/** Whether a line is the incomplete rest of a crash or a full disk: the next process has claimed the file right after it. */
function isTorn(text: string, next: string | undefined): boolean {
  if (next === undefined || claimIn(next) === undefined) return false;
  try {
    JSON.parse(text);
    return false;
  } catch {
    return true;
  }
}

const checkpointStart = `{"format":${JSON.stringify(checkpointFormat)},`;

/** Whether a file without a line break contains nothing but the beginning of a checkpoint. */
function isTornFirstLine(text: string): boolean {
  return text.startsWith(checkpointStart) || checkpointStart.startsWith(text);
}

/** The id in a line by which a process has claimed the file. Undefined for any other line. */
function claimIn(line: string): unknown {
  if (!line.startsWith('{"resumed":')) return undefined;
  try {
    return (JSON.parse(line) as { resumed: unknown }).resumed;
  } catch {
    return undefined;
  }
}

/** The last claim in these lines, if there is one. */
function lastClaim(lines: readonly string[]): unknown {
  return lines.map(claimIn).findLast((claim) => claim !== undefined);
}

function readerOf(path: string, { text, line }: { text: string; line: number }): RecordReader {
  const title = `line ${line}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRecord(title, "expected JSON", { path, line });
  }
  return new RecordReader(title, value, { path, line });
}

/** A link could lead to a file of another user's choice, or to none. */
async function requireNoLink(path: string): Promise<void> {
  if (!(await isSymbolicLink(path))) return;
  throw invalidCheckpoint(path, "it is a symbolic link, which is not followed: name the file itself");
}

/** Returns the error for a file that is no checkpoint, or that another user can have written. */
function invalidCheckpoint(path: string, fault: string): EnvelopeError {
  return invalidRecord("checkpoint", fault, { path });
}

function takenOver(path: string): EnvelopeError {
  return new EnvelopeError(
    "CHECKPOINT_INVALID",
    `another process has resumed or ended the upload of the checkpoint "${path}": this call stops`,
    { details: { path } },
  );
}
