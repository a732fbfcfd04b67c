/**
 * Writes an object with its instruction file. The two have one key each, so the file of an object that is there already
 * is replaced before that object is: what a failed write has replaced is put back.
 */
import { EnvelopeError, hasCode } from "../../errors.js";
import { cleanUp, type Leftover, withinTime, withLeftover } from "../clean-up.js";
import { isRefusal } from "../commit.js";
import type { MultipartInput } from "../multipart.js";
import type { BodyRequest } from "../put-body.js";
import type { S3Attempt } from "../s3-errors.js";
import type { TransferSettings } from "../settings.js";
import { deleteSidecar, putSidecar, type SidecarLocation } from "../sidecar-object.js";
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
  const condition = earlier === "unknown" ? { IfNoneMatch: "*" } : {};
  transfer.signal.throwIfAborted();
  let stored = false;
  // Without the signal: what was aborted may arrive after what it replaces was put back.
  const writing = putInstructions(settings, put, location, text, undefined, condition).then(() => {
    stored = true;
  });
  try {
    await untilAborted(transfer.signal, writing);
    return await writeObject();
  } catch (error) {
    await withinTime(() => writing).catch(() => undefined);
    throw await undo(settings, write, { location, earlier, stored }, error);
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
  readonly earlier: Earlier | "unknown" | undefined;
  /** Whether S3 has said that it has the new file. */
  readonly stored: boolean;
}

/**
 * Puts the earlier instruction file back, or removes the new one, unless the new object may be there.
 *
 * @returns the error, which says so if something is left
 */
async function undo(
  settings: TransferSettings,
  { put, transfer, commit }: ObjectWrite,
  { location, earlier, stored }: Replaced,
  error: unknown,
): Promise<unknown> {
  const { Key } = location;
  const isSure = !commit.mayExist && (stored || isRefusal(error));
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
  if (earlier === "unknown" && !stored) return isSure ? error : doubtful("may be there");
  const isUndone = before
    ? await putBack(settings, put, location, before.instructions)
    : await deleteSidecar(settings.s3, location);
  if (!isUndone) return withLeftover(error, transfer, failedUndo(Key, before));
  if (isSure) return error;
  return doubtful(`was ${before ? "put back" : "removed"}, but a request may still arrive: look at it`);
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

function putBack(
  { s3 }: TransferSettings,
  put: MultipartInput["put"],
  location: SidecarLocation,
  { bytes, ContentType, Metadata }: StoredInstructions,
): Promise<boolean> {
  return cleanUp(({ abortSignal }) =>
    putSidecar(s3, put, location, bytes, abortSignal, { ContentType, Metadata: Metadata ?? {} }),
  );
}
