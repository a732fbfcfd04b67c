/**
 * Writes an object with its instruction file. The two have one key each, so the file of an object that is there already
 * is replaced before that object is: what a failed write has replaced is put back.
 */
import { DeleteObjectCommand, type PutObjectCommandInput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import type { TransferConfig } from "../../objects/encrypted/config.js";
import { putSidecar, type SidecarLocation } from "../../objects/encrypted/sidecar.js";
import { type Leftover, withinTime, withLeftover } from "../../s3/clean-up.js";
import { isRefusal } from "../../s3/confirmed-write.js";
import { type RequestTarget, s3Request } from "../../s3/errors.js";
import type { MultipartInput } from "../../s3/multipart.js";
import { conditionOf, isSameETag } from "../../s3/responses.js";
import { guarded } from "../../service/response-guard.js";
import {
  getInstructions,
  headObject,
  newInstructionLocation,
  putInstructions,
  type StoredInstructions,
} from "../read/instruction-object.js";

type ObjectWrite = Pick<MultipartInput, "put" | "target" | "transfer" | "commit">;

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
  config: TransferConfig,
  write: ObjectWrite,
  text: string | undefined,
  writeObject: () => Promise<T>,
): Promise<T> {
  if (text === undefined) return writeObject();
  const { put, transfer } = write;
  const location = newInstructionLocation(put);
  const earlier = await findEarlier(config, write, location);
  transfer.signal.throwIfAborted();
  let stored: string | undefined;
  const writing = replaceFile(config, put, { location, text, earlier }).then((ETag) => {
    stored = ETag;
  });
  try {
    await untilAborted(transfer.signal, writing);
    return await writeObject();
  } catch (error) {
    const failure = await withinTime(() => writing).catch((reason: unknown) => reason);
    // Then nothing of it is there.
    if (isRefusal(failure)) throw error;
    throw await undo(config, write, { location, text, earlier, stored }, error);
  }
}

/** What has to be put back if the write fails. Who may not read, and so could not, must not replace anything. */
async function findEarlier(
  config: TransferConfig,
  { put, target, transfer: { signal } }: ObjectWrite,
  location: SidecarLocation,
): Promise<Earlier | "unknown" | undefined> {
  try {
    const instructions = await getInstructions(config, location, signal);
    if (!instructions) return undefined;
    const ETag = await etagOf(config, put, signal);
    requireConditions(put, ETag, target);
    return { instructions, ETag };
  } catch (error) {
    if (hasCode(error, "S3_ACCESS_DENIED")) return "unknown";
    throw error;
  }
}

/**
 * Writes the new file, if what is there is what was read before. Without the signal: what was aborted may arrive after
 * what it replaces was put back.
 *
 * @returns its ETag
 */
async function replaceFile(
  config: TransferConfig,
  put: MultipartInput["put"],
  { location, text, earlier }: Omit<Replaced, "stored">,
): Promise<string> {
  const send = (condition: Condition) => putInstructions(config, put, location, text, undefined, condition);
  try {
    if (earlier === "unknown") return await send({ IfNoneMatch: "*" });
    return await onCondition(earlier ? { IfMatch: earlier.instructions.ETag } : { IfNoneMatch: "*" }, send);
  } catch (error) {
    if (!isUnmet(error)) throw error;
    // A retry of the SDK's may have found what its own first try wrote.
    const isFirst = isRefusal(error);
    const own = isFirst ? undefined : await etagOfOwn(config, location, text).catch(() => undefined);
    if (own !== undefined) return own;
    const { message, cause, details } = error;
    const why =
      earlier === "unknown"
        ? "it is there, and was not replaced, as reading it or its object was denied, so that it could not be put " +
          "back: allow s3:GetObject of both"
        : "somebody else has written or removed it meanwhile: look at the object, and put again";
    throw new EnvelopeError("S3_PRECONDITION_FAILED", `${message}: ${why}`, { cause, details });
  }
}

type Condition = Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch">;

/** Sends a request on a condition; to a store that knows none of the kind, without. */
async function onCondition<T>(condition: Condition, send: (condition: Condition) => Promise<T>): Promise<T> {
  try {
    return await send({
      ...condition,
      ...(condition.IfMatch && { IfMatch: conditionOf(condition.IfMatch) }),
    });
  } catch (error) {
    if (error instanceof EnvelopeError && error.details.httpStatusCode === 501) return send({});
    throw error;
  }
}

/** Whether something else is there than the condition says, or nothing. */
function isUnmet(error: unknown): error is EnvelopeError {
  return hasCode(error, "S3_PRECONDITION_FAILED") || hasCode(error, "S3_NOT_FOUND");
}

/** S3 checks the conditions of the object's own write, when the file has been replaced already. */
function requireConditions(
  { IfMatch, IfNoneMatch }: MultipartInput["put"],
  ETag: string | undefined,
  target: RequestTarget,
): void {
  const isThere = ETag !== undefined;
  if (
    !(IfNoneMatch === "*" && isThere) &&
    (IfMatch === undefined || (ETag !== undefined && isSameETag(IfMatch, ETag)))
  )
    return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `"${target.key}" in "${target.bucket}" was not written: a condition of the request does not hold`,
    { details: { ...target } },
  );
}

/** The ETag of the object, if it is there. */
async function etagOf(
  config: TransferConfig,
  put: MultipartInput["put"],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await headObject(config, put, signal)).ETag;
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
  config: TransferConfig,
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
  if (commit.mayExist && !(await isStillThere(config, put, before))) {
    return doubtful("was kept, as the object may be there: remove it if that is not so");
  }
  // It may be another's.
  if (earlier === "unknown" && !stored) return doubtful("may be there");
  const undone = await undoFile(config, put, { location, text, earlier, stored });
  if (undone === "failed") return withLeftover(error, transfer, failedUndo(Key, before));
  if (isSure) return error;
  const done = undone === "gone" ? "is not there, or another's" : before ? "was put back" : "was removed";
  return doubtful(`${done}, but a request may still arrive: look at it`);
}

/** Puts the earlier file back, or removes the new one, as long as the file that is there is the new one. */
async function undoFile(
  config: TransferConfig,
  put: MultipartInput["put"],
  replaced: Replaced,
): Promise<"undone" | "gone" | "failed"> {
  const { earlier } = replaced;
  const before = earlier === "unknown" ? undefined : earlier;
  const send = (condition: Condition) =>
    withinTime<unknown>(({ abortSignal }) =>
      before
        ? putBack(config, put, replaced.location, before.instructions, condition, abortSignal)
        : remove(config, replaced.location, condition, abortSignal),
    );
  try {
    const { location, text, stored } = replaced;
    const IfMatch = stored ?? (await etagOfOwn(config, location, text));
    if (IfMatch === undefined) return "gone";
    // Conditions take the right to read.
    await onCondition(earlier === "unknown" ? {} : { IfMatch }, send);
    return "undone";
  } catch (error) {
    // Some stores refuse the ETag of the file that is there.
    const { location, text } = replaced;
    const own = isUnmet(error) ? await etagOfOwn(config, location, text).catch(() => "unknown") : "unknown";
    return own === undefined ? "gone" : "failed";
  }
}

/** The ETag of the file that is there, if it is the new one. */
async function etagOfOwn(
  config: TransferConfig,
  location: SidecarLocation,
  text: string,
): Promise<string | undefined> {
  const now = await withinTime(({ abortSignal }) => getInstructions(config, location, abortSignal));
  return now?.bytes.toString() === text ? now.ETag : undefined;
}

function putBack(
  { s3 }: TransferConfig,
  put: MultipartInput["put"],
  location: SidecarLocation,
  { bytes, ContentType, Metadata = {} }: StoredInstructions,
  condition: Condition,
  signal: AbortSignal,
): Promise<string> {
  return putSidecar(s3, put, location, bytes, signal, { ContentType, Metadata, ...condition });
}

function remove(
  { s3 }: TransferConfig,
  location: SidecarLocation,
  { IfMatch }: Condition,
  signal: AbortSignal,
): Promise<unknown> {
  const target = { operation: "DeleteObject", bucket: location.Bucket ?? "", key: location.Key };
  const command = new DeleteObjectCommand({ ...location, IfMatch });
  return s3Request(target, signal, (options) => s3.send(guarded(command), options));
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
  config: TransferConfig,
  put: MultipartInput["put"],
  earlier: Earlier | undefined,
): Promise<boolean> {
  if (earlier?.ETag === undefined) return false;
  const ETag = await withinTime(({ abortSignal }) => etagOf(config, put, abortSignal)).catch(() => undefined);
  return ETag !== undefined && isSameETag(ETag, earlier.ETag);
}
