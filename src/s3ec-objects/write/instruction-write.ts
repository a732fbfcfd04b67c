/**
 * Writes an object with its instruction file. The file is written first, so it replaces the file of an existing object
 * before the object itself is replaced: if the write of the object fails, the earlier file is restored.
 */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { putSidecar, type SidecarLocation } from "../../objects/encrypted/sidecar.js";
import type { TransferConfig } from "../../objects/encrypted/transfer-config.js";
import type { ObjectWrite } from "../../objects/put/send-body.js";
import { withinTime } from "../../s3/clean-up.js";
import { isRefusal } from "../../s3/confirmed-write.js";
import { deleteObject } from "../../s3/requests.js";
import { conditionOf, isSameETag } from "../../s3/responses.js";
import { type Leftover, withLeftover } from "../../transfer/call.js";
import {
  getInstructions,
  headOwner,
  newInstructionLocation,
  putInstructions,
  type StoredInstructions,
  type WriteCondition,
} from "./instruction-file.js";

/** The object and its instruction file before the write. */
interface Earlier {
  readonly instructions: StoredInstructions;
  /** The ETag of the object; undefined when there was none. */
  readonly ETag: string | undefined;
}

/**
 * Writes the instruction file, if the object has one, and then the object.
 *
 * @param text the content of the instruction file
 */
export async function withInstructionFile<T>(
  config: TransferConfig,
  write: ObjectWrite,
  text: string | undefined,
  writeObject: () => Promise<T>,
): Promise<T> {
  if (text === undefined) return writeObject();
  const { put, call } = write;
  const location = newInstructionLocation(put);
  const earlier = await findEarlier(config, write, location);
  call.signal.throwIfAborted();
  let stored: string | undefined;
  const writing = replaceFile(config, put, { location, text, earlier }).then((ETag) => {
    stored = ETag;
  });
  try {
    await untilAborted(call.signal, writing);
    return await writeObject();
  } catch (error) {
    const failure = await withinTime(() => writing).catch((reason: unknown) => reason);
    // A refused file was not written.
    if (isRefusal(failure)) throw error;
    throw await restoreFile(config, write, { location, text, earlier, stored }, error);
  }
}

/**
 * Finds the file to restore if the write fails. "unknown" without permission to read: then nothing may be replaced, as it
 * could not be restored.
 */
async function findEarlier(
  config: TransferConfig,
  { put, target, call: { signal } }: ObjectWrite,
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
 * Writes the new file, if the current one is still the one that was read. The request does not observe the signal: an
 * aborted request may take effect after the earlier file has been restored.
 *
 * @returns the ETag of the new file
 */
async function replaceFile(
  config: TransferConfig,
  put: ObjectWrite["put"],
  { location, text, earlier }: Omit<ReplacedFile, "stored">,
): Promise<string> {
  const send = (condition: WriteCondition) =>
    putInstructions(config, put, location, text, undefined, condition);
  try {
    if (earlier === "unknown") return await send({ IfNoneMatch: "*" });
    const condition = earlier ? { IfMatch: earlier.instructions.ETag } : { IfNoneMatch: "*" };
    return await withCondition(condition, send);
  } catch (error) {
    if (!isUnmetCondition(error)) throw error;
    // A retry of the SDK may find the file that its own first attempt has written.
    const own = isRefusal(error)
      ? undefined
      : await etagOfOwnFile(config, location, text).catch(() => undefined);
    if (own !== undefined) return own;
    const { message, cause, details } = error;
    const why =
      earlier === "unknown"
        ? "the file exists and was not replaced, because access to it or to its object was denied, so that it could not " +
          "be restored: allow s3:GetObject for both"
        : "another writer has written or removed it in the meantime: look at the object, and put it again";
    throw new EnvelopeError("S3_PRECONDITION_FAILED", `${message}: ${why}`, { cause, details });
  }
}

/** Sends a request with a condition, or without it to a store that does not support it. */
async function withCondition<T>(
  condition: WriteCondition,
  send: (condition: WriteCondition) => Promise<T>,
): Promise<T> {
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

/** Whether a condition does not hold: another object is there, or none. */
function isUnmetCondition(error: unknown): error is EnvelopeError {
  return hasCode(error, "S3_PRECONDITION_FAILED") || hasCode(error, "S3_NOT_FOUND");
}

/** Checks the conditions of the object's own write. S3 checks them only after the file has been replaced. */
function requireConditions(
  { IfMatch, IfNoneMatch }: ObjectWrite["put"],
  ETag: string | undefined,
  target: ObjectWrite["target"],
): void {
  const exists = ETag !== undefined;
  if (
    !(IfNoneMatch === "*" && exists) &&
    (IfMatch === undefined || (ETag !== undefined && isSameETag(IfMatch, ETag)))
  )
    return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `"${target.key}" in "${target.bucket}" was not written: a condition of the request does not hold`,
    { details: { ...target } },
  );
}

/** The ETag of the object; undefined when there is none. */
async function etagOf(
  config: TransferConfig,
  put: ObjectWrite["put"],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await headOwner(config, put, signal)).ETag;
  } catch (error) {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** An instruction file that a write has replaced, or may have. */
interface ReplacedFile {
  readonly location: SidecarLocation;
  /** The content of the new file. */
  readonly text: string;
  readonly earlier: Earlier | "unknown" | undefined;
  /** The ETag of the new file; undefined until S3 has confirmed it. */
  readonly stored: string | undefined;
}

/**
 * Restores the earlier instruction file, or removes the new one if there was none. The new file stays if the object may
 * have been written, or if the file is by now that of another writer.
 *
 * @returns the error, with advice if a file is left
 */
async function restoreFile(
  config: TransferConfig,
  { put, call, commit }: ObjectWrite,
  replaced: ReplacedFile,
  error: unknown,
): Promise<unknown> {
  const { location, earlier, stored } = replaced;
  const { Key } = location;
  const isCertain = !commit.mayExist && stored !== undefined;
  const possiblyOrphaned = (what: string) =>
    withLeftover(error, call, {
      details: { possiblyOrphanedInstructionFileKey: Key },
      advice: `Its instruction file "${Key}" ${what}`,
    });
  const known = earlier === "unknown" ? undefined : earlier;
  if (commit.mayExist && !(await isUnchanged(config, put, known))) {
    return possiblyOrphaned("was kept, as the object may exist: remove it if it does not");
  }
  // The file may be that of another writer.
  if (earlier === "unknown" && !stored) return possiblyOrphaned("may exist");
  const outcome = await tryRestoring(config, put, replaced);
  if (outcome === "failed") return withLeftover(error, call, failedRestoration(Key, known));
  if (isCertain) return error;
  const done =
    outcome === "gone" ? "does not exist, or is another writer's" : known ? "was restored" : "was removed";
  return possiblyOrphaned(`${done}, but a request may still take effect: look at it`);
}

/** Restores the earlier file or removes the new one, as long as the current file is the new one. */
async function tryRestoring(
  config: TransferConfig,
  put: ObjectWrite["put"],
  { location, text, earlier, stored }: ReplacedFile,
): Promise<"restored" | "gone" | "failed"> {
  const known = earlier === "unknown" ? undefined : earlier;
  const send = (condition: WriteCondition): Promise<unknown> =>
    known
      ? withinTime(({ abortSignal }) =>
          putEarlier(config, put, location, known.instructions, condition, abortSignal),
        )
      : deleteObject(config.s3, { ...location, IfMatch: condition.IfMatch }, { isBounded: true });
  try {
    const IfMatch = stored ?? (await etagOfOwnFile(config, location, text));
    if (IfMatch === undefined) return "gone";
    // A condition requires the permission to read.
    await withCondition(earlier === "unknown" ? {} : { IfMatch }, send);
    return "restored";
  } catch (error) {
    // Some stores refuse the ETag of the current file.
    const own = isUnmetCondition(error)
      ? await etagOfOwnFile(config, location, text).catch(() => "unknown")
      : "unknown";
    return own === undefined ? "gone" : "failed";
  }
}

/** The ETag of the current file if it is the new one. */
async function etagOfOwnFile(
  config: TransferConfig,
  location: SidecarLocation,
  text: string,
): Promise<string | undefined> {
  const now = await withinTime(({ abortSignal }) => getInstructions(config, location, abortSignal));
  return now?.bytes.toString() === text ? now.ETag : undefined;
}

function putEarlier(
  { s3 }: TransferConfig,
  put: PutObjectCommandInput,
  location: SidecarLocation,
  { bytes, ContentType, Metadata = {} }: StoredInstructions,
  condition: WriteCondition,
  signal: AbortSignal,
): Promise<string> {
  return putSidecar(s3, put, location, bytes, signal, { ContentType, Metadata, ...condition });
}

function failedRestoration(key: string, earlier: Earlier | undefined): Leftover {
  if (!earlier) {
    const advice = `Its instruction file "${key}" could not be removed and is not needed: remove it`;
    return { details: { orphanedInstructionFileKey: key }, advice };
  }
  const advice =
    `The earlier instruction file "${key}" could not be restored: without it the existing object cannot be read. ` +
    "Put the object again, or restore that file from its older version";
  return { details: { lostInstructionFileKey: key }, advice };
}

/** Whether the object is certainly the one that was there before the write. */
async function isUnchanged(
  config: TransferConfig,
  put: ObjectWrite["put"],
  earlier: Earlier | undefined,
): Promise<boolean> {
  if (earlier?.ETag === undefined) return false;
  const ETag = await withinTime(({ abortSignal }) => etagOf(config, put, abortSignal)).catch(() => undefined);
  return ETag !== undefined && isSameETag(ETag, earlier.ETag);
}
