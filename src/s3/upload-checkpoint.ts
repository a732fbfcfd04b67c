/** The file by which an upload goes on after a crash: what was begun, before its first byte is sent, and what is done. */
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { EnvelopeError } from "../errors.js";
import { fileFailed } from "../file-error.js";
import { syncFileData, syncFolder } from "./file-sync.js";
import { PartGuard, type PartSeal, readSeal, readUploadedPart, type UploadedPart } from "./upload-parts.js";
import { invalidRecord, RecordReader } from "./upload-records.js";
import { type ReadTicket, readTicket, type UploadTicket } from "./upload-ticket.js";

const checkpointFormat = "s3-envelope/checkpoint 1";
const maxFileBytes = 64 * 1024 * 1024;

/** The first line: what the upload is of, and what it was asked for. */
export interface CheckpointHeader {
  readonly ticket: UploadTicket;
  /** What the caller asked for, but for keys. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** When the source file was modified last. */
  readonly modifiedMs: number | undefined;
}

/** What a checkpoint says. */
export interface Recorded extends Omit<CheckpointHeader, "ticket"> {
  readonly read: ReadTicket;
  /** What was begun, done or not. */
  readonly begun: ReadonlyMap<number, PartSeal>;
  readonly done: ReadonlyMap<number, UploadedPart>;
}

/**
 * A file of JSON lines that only grows. Every line is on the disk before the next step. Two processes cannot go on
 * with one: each looks before and after it writes whether the file is as long as it has left it, and stops if it is
 * not. So the one that came last goes on, whatever became of the others, and no lock can be left behind.
 */
export class Checkpoint {
  readonly path: string;
  readonly #file: FileHandle;
  #bytes = 0;
  #last: Promise<void> = Promise.resolve();
  #recorded: Recorded | undefined;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Opens a checkpoint; undefined when there is none.
   *
   * @throws EnvelopeError `FILE_FAILED`, `CHECKPOINT_INVALID`
   */
  static async find(path: string): Promise<Checkpoint | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw fileFailed(path, "be opened", error);
    }
    const checkpoint = new Checkpoint(path, file);
    try {
      await checkpoint.#read();
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
      return new Checkpoint(path, await open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, 0o600));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") throw takenOver(path);
      throw fileFailed(path, "be made", error);
    }
  }

  /** What was found, unless there was nothing: a first line that was not finished says that nothing was begun. */
  get recorded(): Recorded | undefined {
    return this.#recorded;
  }

  /** Writes the first line. */
  async begin(header: CheckpointHeader): Promise<void> {
    await this.#append({ format: checkpointFormat, ...header });
    await this.#syncFolder();
  }

  /** Says that this process goes on: any other stops at its next step. */
  takeOver(): Promise<void> {
    return this.#append({ resumed: new Date().toISOString() });
  }

  /** Has it on the disk that a part is about to be sent. */
  begun(partNumber: number, { tagDigest, firstTag, lastTag }: PartSeal): Promise<void> {
    return this.#append({ begun: partNumber, tagDigest, firstTag, lastTag });
  }

  done(part: UploadedPart): Promise<void> {
    return this.#append({ done: part });
  }

  /** Whether there is a first line. */
  get hasBegun(): boolean {
    return this.#bytes > 0;
  }

  /** Whether no other process has gone on with it. */
  async isOwn(): Promise<boolean> {
    const { size, nlink } = await this.#attempt(() => this.#file.stat());
    return size === this.#bytes && nlink > 0;
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
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    const write = async () => {
      await this.requireOwn();
      await this.#attempt(async () => {
        const { bytesWritten } = await this.#file.write(line);
        if (bytesWritten < line.length) throw new Error("the disk took a part of a line");
        await syncFileData(this.#file);
      });
      this.#bytes += line.length;
      await this.requireOwn();
    };
    this.#last = this.#last.then(write);
    return this.#last;
  }

  async #read(): Promise<void> {
    const stats = await this.#attempt(() => this.#file.stat());
    const { size } = stats;
    if (!stats.isFile()) throw this.#foreign("it is no file");
    if (size > maxFileBytes) throw this.#foreign("it is too long");
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await this.#attempt(() => this.#file.read(bytes, 0, size, 0), "be read");
    const whole = bytes.subarray(0, bytesRead).lastIndexOf("\n") + 1;
    const lines = bytes.toString("utf8", 0, whole).split("\n").slice(0, -1);
    // Whatever else it is, it must not be cut off and removed.
    if (lines.length === 0 && !isTornFirstLine(bytes.toString("latin1", 0, bytesRead)))
      throw this.#foreign("it is another file");
    this.#recorded = lines.length === 0 ? undefined : parse(this.path, lines);
    // What a crash left of a line.
    if (whole < size) await this.#attempt(() => this.#file.truncate(whole));
    this.#bytes = whole;
  }

  #foreign(fault: string): EnvelopeError {
    return invalidRecord("checkpoint", fault, { path: this.path });
  }

  /** The name of a new file, too. Some systems cannot open folders. */
  async #syncFolder(): Promise<void> {
    try {
      await syncFolder(dirname(this.path));
    } catch {}
  }

  async #attempt<T>(act: () => Promise<T>, what = "be written"): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw fileFailed(this.path, what, error);
    }
  }
}

function takenOver(path: string): EnvelopeError {
  return new EnvelopeError(
    "CHECKPOINT_INVALID",
    `another process has gone on with the checkpoint "${path}", or has ended it: this one stops`,
    { details: { path } },
  );
}

/** How each checkpoint starts. */
const start = `{"format":${JSON.stringify(checkpointFormat)},`;

function isTornFirstLine(text: string): boolean {
  return text.startsWith(start) || start.startsWith(text);
}

function parse(path: string, lines: readonly string[]): Recorded {
  const [first, ...others] = lines.map((line, index) => readerOf(path, index + 1, line));
  if (!first) throw new Error("unreachable: there is a line");
  if (first.text("format") !== checkpointFormat)
    throw first.invalid("format", `this release knows "${checkpointFormat}" only`);
  const read = readTicket("ticket", first.record("ticket"));
  const [fields, modifiedMs] = [first.record("fields"), first.optionalNumber("modifiedMs")];
  first.end();
  const { ticket } = read;
  const guard = new PartGuard(ticket);
  const begun = new Map<number, PartSeal>();
  const done = new Map<number, UploadedPart>();
  for (const line of others) {
    if (line.has("begun")) {
      const partNumber = line.integer("begun", 1, ticket.partCount);
      const seal = readSeal(line);
      try {
        guard.require(partNumber, seal);
      } catch {
        throw line.invalid("begun", "it does not go with the lines before it");
      }
      begun.set(partNumber, seal);
    } else if (line.has("done")) {
      const part = readUploadedPart(new RecordReader("done", line.record("done"), { path }), ticket);
      const known = begun.get(part.PartNumber)?.tagDigest;
      if (known !== part.tagDigest) throw line.invalid("done", "the part was not begun so");
      done.set(part.PartNumber, part);
    } else line.text("resumed");
    line.end();
  }
  return { read, fields, modifiedMs, begun, done };
}

function readerOf(path: string, line: number, text: string): RecordReader {
  const title = `line ${line}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRecord(title, "expected JSON", { path, line });
  }
  return new RecordReader(title, value, { path, line });
}
