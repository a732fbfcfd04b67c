/**
 * Writes an object with its instruction file. The two have one key each, so the file of an object that is there already
 * is replaced before that object is: what a failed write has replaced is put back.
 */
import {
  DeleteObjectCommand,
  type DeleteObjectCommandInput,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../../errors.js";
import { type Leftover, withinTime, withLeftover } from "../clean-up.js";
import { isRefusal } from "../commit.js";
import type { MultipartInput } from "../multipart.js";
import type { BodyRequest } from "../put-body.js";
import { type S3Attempt, s3Request } from "../s3-errors.js";
import type { TransferSettings } from "../settings.js";
import { putSidecar, type SidecarLocation } from "../sidecar-object.js";
import { untilAborted } from "../transfer-signal.js";
import {
  getInstructions,
  headObject,
  instructionLocation,
  putInstructions,
  type StoredInstructions,
} from "./instruction-object.js";

type ObjectWrite = Pick<BodyRequest, "put" | "attempt" | "transfer" | "commit">;

/** What was at the two keys before the write. */
interface Earlier {
  readonly instructions: StoredInstructions;
  /** Of the object; undefined when there was none. */
  readonly ETag: string | undefined;
}

/**
 * Runs a write with its instruction file in place, if it has one.
 *
 * @param text of the instruction file
 */
export async function withInstructionFile<T>(
  settings: TransferSettings,
  write: ObjectWrite,
  text: string | undefined,
  writeObject: () => Promise<T>,
): Promise<T> {
  if (text === undefined) return writeObject();
  const { put, transfer } = write;
  const location = instructionLocation(put);
  const earlier = await findEarlier(settings, write, location);
  const [condition, explain] =
    earlier === "unknown" ? [{ IfNoneMatch: "*" }, explainUnreadable] : [{}, undefined];
  transfer.signal.throwIfAborted();
  let stored: string | undefined;
  // Without the signal: what was aborted may arrive after what it replaces was put back.
  const writing = putInstructions(settings, put, location, text, undefined, condition).then((ETag) => {
    stored = ETag;
  }, explain);
  try {
    await untilAborted(transfer.signal, writing);
    return await writeObject();
  } catch (error) {
    const failure = await withinTime(() => writing).catch((reason: unknown) => reason);
    // Then nothing of it is there.
    if (isRefusal(failure)) throw error;
    throw await undo(settings, write, { location, text, earlier, stored }, error);
  }
}

/** What has to be put back if the write fails. Who may not read, and so could not, must not replace anything. */
async function findEarlier(
  settings: TransferSettings,
  { put, attempt, transfer: { signal } }: ObjectWrite,
  location: SidecarLocation,
): Promise<Earlier | "unknown" | undefined> {
  try {
    const instructions = await getInstructions(settings, location, signal);
    if (!instructions) return undefined;
    const ETag = await etagOf(settings, put, signal);
    requireConditions(put, ETag, attempt);
    return { instructions, ETag };
  } catch (error) {
    if (hasCode(error, "S3_ACCESS_DENIED")) return "unknown";
    throw error;
  }
}

/** Says why a file that is there was not replaced, and what to do. */
function explainUnreadable(error: unknown): never {
  if (!hasCode(error, "S3_PRECONDITION_FAILED")) throw error;
  const { code, message, cause, details } = error;
  const why =
    "it is there, and was not replaced, as reading it or its object was denied, so that it could not be put back: " +
    "allow s3:GetObject of both";
  throw new EnvelopeError(code, `${message}: ${why}`, { cause, details });
}

/** S3 checks the conditions of the object's own write, when the file has been replaced already. */
function requireConditions(
  { IfMatch, IfNoneMatch }: MultipartInput["put"],
  ETag: string | undefined,
  attempt: S3Attempt,
): void {
  const isThere = ETag !== undefined;
  if (!(IfNoneMatch === "*" && isThere) && (IfMatch === undefined || bare(IfMatch) === bare(ETag))) return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `"${attempt.key}" in "${attempt.bucket}" was not written: a condition of the request does not hold`,
    { details: { ...attempt } },
  );
}

function bare(ETag: string | undefined): string | undefined {
  return ETag?.replaceAll('"', "");
}

/** The ETag of the object, if it is there. */
async function etagOf(
  settings: TransferSettings,
  put: MultipartInput["put"],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await headObject(settings, put, signal)).ETag;
  } catch (error) {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    throw error;
  }
}

interface Replaced {
  readonly location: SidecarLocation;
  readonly text: string;
  readonly earlier: Earlier | "unknown" | undefined;
  /** The ETag of the new file; undefined while S3 has not said that it has it. */
  readonly stored: string | undefined;
}

/**
 * Puts the earlier instruction file back, or removes the new one, unless the new object may be there, or the file is
 * another's by now: that of an object which was written meanwhile.
 *
 * @returns the error, which says so if something is left
 */
async function undo(
  settings: TransferSettings,
  { put, transfer, commit }: ObjectWrite,
  { location, text, earlier, stored }: Replaced,
  error: unknown,
): Promise<unknown> {
  const { Key } = location;
  const isSure = !commit.mayExist && stored !== undefined;
  const doubtful = (what: string) =>
    withLeftover(error, transfer, {
      details: { possiblyOrphanedInstructionFileKey: Key },
      advice: `Its instruction file "${Key}" ${what}`,
    });
  const before = earlier === "unknown" ? undefined : earlier;
  if (commit.mayExist && !(await isStillThere(settings, put, before))) {
    return doubtful("was kept, as the object may be there: remove it if that is not so");
  }
  // It may be another's.
  if (earlier === "unknown" && !stored) return doubtful("may be there");
  const undone = await undoFile(settings, put, { location, text, earlier, stored });
  if (undone === "failed") return withLeftover(error, transfer, failedUndo(Key, before));
  if (isSure) return error;
  const done = undone === "gone" ? "is not there, or another's" : before ? "was put back" : "was removed";
  return doubtful(`${done}, but a request may still arrive: look at it`);
}

/** Puts the earlier file back, or removes the new one, as long as the file that is there is the new one. */
async function undoFile(
  settings: TransferSettings,
  put: MultipartInput["put"],
  replaced: Replaced,
): Promise<"undone" | "gone" | "failed"> {
  const { earlier } = replaced;
  const before = earlier === "unknown" ? undefined : earlier;
  const send = (condition: { readonly IfMatch?: string }) =>
    withinTime<unknown>(({ abortSignal }) =>
      before
        ? putBack(settings, put, replaced.location, before.instructions, condition, abortSignal)
        : remove(settings, replaced.location, condition, abortSignal),
    );
  try {
    const IfMatch = replaced.stored ?? (await etagOfOwn(settings, replaced));
    if (IfMatch === undefined) return "gone";
    // Conditions take the right to read.
    await send(earlier === "unknown" ? {} : { IfMatch }).catch((error: unknown) => {
      // The store knows no such conditions.
      if (error instanceof EnvelopeError && error.details.httpStatusCode === 501) return send({});
      throw error;
    });
    return "undone";
  } catch (error) {
    const isGone = hasCode(error, "S3_PRECONDITION_FAILED") || hasCode(error, "S3_NOT_FOUND");
    return isGone ? "gone" : "failed";
  }
}

/** The ETag of the file that is there, if it is the new one. */
async function etagOfOwn(
  settings: TransferSettings,
  { location, text }: Replaced,
): Promise<string | undefined> {
  const now = await withinTime(({ abortSignal }) => getInstructions(settings, location, abortSignal));
  return now?.bytes.toString() === text ? now.ETag : undefined;
}

function putBack(
  { s3 }: TransferSettings,
  put: MultipartInput["put"],
  location: SidecarLocation,
  { bytes, ContentType, Metadata = {} }: StoredInstructions,
  condition: Pick<PutObjectCommandInput, "IfMatch">,
  signal: AbortSignal,
): Promise<string> {
  return putSidecar(s3, put, location, bytes, signal, { ContentType, Metadata, ...condition });
}

function remove(
  { s3 }: TransferSettings,
  location: SidecarLocation,
  condition: Pick<DeleteObjectCommandInput, "IfMatch">,
  signal: AbortSignal,
): Promise<unknown> {
  const attempt = { operation: "DeleteObject", bucket: location.Bucket ?? "", key: location.Key };
  const command = new DeleteObjectCommand({ ...location, ...condition });
  return s3Request(attempt, signal, (options) => s3.send(command, options));
}

function failedUndo(key: string, earlier: Earlier | undefined): Leftover {
  if (!earlier) {
    const advice = `Its instruction file "${key}" could not be removed: nothing needs it, remove it`;
    return { details: { orphanedInstructionFileKey: key }, advice };
  }
  const advice =
    `The earlier instruction file "${key}" could not be put back: without it the object that is there cannot be ` +
    "read. Put the object again, or restore that file from its older version";
  return { details: { lostInstructionFileKey: key }, advice };
}

/** Whether the object is surely the one that it was before the write. */
async function isStillThere(
  settings: TransferSettings,
  put: MultipartInput["put"],
  earlier: Earlier | undefined,
): Promise<boolean> {
  if (earlier?.ETag === undefined) return false;
  const ETag = await withinTime(({ abortSignal }) => etagOf(settings, put, abortSignal)).catch(
    () => undefined,
  );
  return ETag === earlier.ETag;
}
