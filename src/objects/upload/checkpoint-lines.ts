/** The lines of a checkpoint: their fields, and what they must have to do with each other. */
import type { EnvelopeError } from "../../base/errors.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { PartGuard } from "./part-guard.js";
import { type RecordedSeal, readSeal, readUploadedPart, type UploadedPart } from "./parts.js";
import { macPattern } from "./record-key.js";
import { invalidRecord, RecordReader } from "./records.js";
import { type ParsedTicket, readTicket, type UploadTicket } from "./ticket.js";

export const checkpointFormat = "s3-envelope/checkpoint 1";

/** The first line: what the upload is of, and what it was asked for. */
export interface CheckpointHeader {
  readonly ticket: UploadTicket;
  /** What the caller asked for, but for keys. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Authenticates the fields under the data key of the upload. */
  readonly mac: string;
}

/** What a checkpoint says. Nothing of it has been authenticated. */
export interface CheckpointState extends Omit<CheckpointHeader, "ticket"> {
  readonly read: ParsedTicket;
  /** What was begun, done or not. */
  readonly begun: ReadonlyMap<number, RecordedSeal>;
  readonly done: ReadonlyMap<number, UploadedPart>;
}

/** The error for a file that is no checkpoint, or that others can have written. */
export function foreignCheckpoint(path: string, fault: string): EnvelopeError {
  return invalidRecord("checkpoint", fault, { path });
}

/** The id in a line by which a process has claimed the file; undefined for any other line. */
export function claimOf(line: string): unknown {
  if (!line.startsWith('{"resumed":')) return undefined;
  try {
    return (JSON.parse(line) as { resumed: unknown }).resumed;
  } catch {
    return undefined;
  }
}

/** How each checkpoint starts. */
const start = `{"format":${JSON.stringify(checkpointFormat)},`;

/** Whether a file without a line break holds nothing but the beginning of a checkpoint. */
export function isTornFirstLine(text: string): boolean {
  return text.startsWith(start) || start.startsWith(text);
}

/**
 * Reads the lines of a checkpoint: of 10,000 parts there are 20,000, so others have their turn meanwhile.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID`
 */
export async function parseCheckpoint(path: string, lines: readonly string[]): Promise<CheckpointState> {
  const [firstLine, ...others] = lines
    .map((text, index) => ({ text, line: index + 1 }))
    .filter(({ text, line }) => text !== "" && !isTorn(text, lines[line]));
  if (!firstLine) throw foreignCheckpoint(path, "it is another file");
  const first = readerOf(path, firstLine);
  if (first.text("format") !== checkpointFormat)
    throw first.invalid("format", `this release knows "${checkpointFormat}" only`);
  const read = readTicket("ticket", first.record("ticket"));
  const [fields, mac] = [first.record("fields"), first.text("mac", macPattern)];
  first.end();
  const { ticket } = read;
  const guard = new PartGuard(ticket);
  const begun = new Map<number, RecordedSeal>();
  const done = new Map<number, UploadedPart>();
  for (const other of others) {
    if (shouldYield()) await yieldToEventLoop();
    const line = readerOf(path, other);
    if (line.has("begun")) {
      const partNumber = line.integer("begun", 1, ticket.partCount);
      const seal = { ...readSeal(line), mac: line.text("mac", macPattern) };
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
  return { read, fields, mac, begun, done };
}

/** Whether a line is what a crash or a full disk left of one: then the next process has claimed the file right after it. */
function isTorn(text: string, next: string | undefined): boolean {
  if (next === undefined || claimOf(next) === undefined) return false;
  try {
    JSON.parse(text);
    return false;
  } catch {
    return true;
  }
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
