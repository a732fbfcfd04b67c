/** Sends the parts of an upload that S3 does not have yet, in parallel, and completes the upload. */
import { forEachConcurrently } from "../../base/concurrency.js";
import { isSameETag } from "../../s3/responses.js";
import type { ListedPart } from "../../s3/stored-parts.js";
import type { SeekableSource } from "../../transfer/seekable-source.js";
import type { PutOutput } from "../put/write-arguments.js";
import type { Checkpoint, CheckpointState } from "./checkpoint.js";
import { guardOf, PartGuard, requireSamePart } from "./part-guard.js";
import { plaintextShare, type StartedPart, startedPart, type UploadedPart } from "./parts.js";
import type { UploadSession } from "./session.js";

/** The parts of a resumed upload, by number. */
export interface EarlierParts {
  /** Parts that the checkpoint records as about to be sent. */
  readonly started: ReadonlyMap<number, StartedPart>;
  /** Parts that S3 lists exactly as the checkpoint records them: they are not sent again. */
  readonly verified: ReadonlyMap<number, UploadedPart>;
  /** All other parts that S3 lists. */
  readonly unverified: ReadonlyMap<number, ListedPart>;
}

/** Compares the parts that S3 lists with those that the checkpoint records as completed. */
export function earlierParts(
  { started, completed }: CheckpointState,
  listed: ReadonlyMap<number, ListedPart>,
): EarlierParts {
  const verified = new Map<number, UploadedPart>();
  const unverified = new Map<number, ListedPart>();
  for (const [partNumber, part] of listed) {
    const known = completed.get(partNumber);
    const isSame =
      known && part.ETag !== undefined && isSameETag(known.ETag, part.ETag) && known.size === part.Size;
    if (isSame) verified.set(partNumber, known);
    else unverified.set(partNumber, part);
  }
  return { started, verified, unverified };
}

/**
 * Sends the missing parts and completes the upload.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`; `CHECKPOINT_INVALID` when another process has taken over the checkpoint
 */
export async function sendMissingParts(
  session: UploadSession,
  source: SeekableSource,
  checkpoint: Checkpoint | undefined,
  earlier?: EarlierParts,
): Promise<PutOutput> {
  const { config, call, ticket } = session;
  const parts = new Map(earlier?.verified);
  call.meter.totalParts = ticket.partCount;
  if (earlier) {
    let bytes = 0;
    for (const partNumber of parts.keys()) bytes += plaintextShare(ticket, partNumber);
    call.meter.resume(bytes, parts.size);
  }
  // Without a checkpoint nobody else ever has the ticket.
  const guard = checkpoint ? guardOf(config, ticket) : new PartGuard(ticket);
  const missing = Array.from({ length: ticket.partCount }, (_, index) => index + 1).filter(
    (partNumber) => !parts.has(partNumber),
  );
  await forEachConcurrently(missing, config.maxConcurrentParts, call, async (partNumber) => {
    const part = await session.sealPart(source, partNumber);
    try {
      const isFirstAttempt = !earlier?.started.has(partNumber);
      const listed = earlier?.unverified.get(partNumber);
      // Every part that was sent has a line in the checkpoint, so the line of this one was removed.
      if (isFirstAttempt && listed) requireSamePart(partNumber, listed, part.bytes);
      guard.require(partNumber, part);
      if (isFirstAttempt)
        await checkpoint?.recordStarted(
          partNumber,
          startedPart(session.recordKey, ticket.mac, partNumber, part),
        );
      else await checkpoint?.requireOwn();
      const uploaded = await session.sendPart(part, source.modifiedMs);
      await checkpoint?.recordCompleted(uploaded);
      parts.set(partNumber, uploaded);
      call.meter.add(plaintextShare(ticket, partNumber), 1);
    } finally {
      part.release(false);
    }
  });
  await source.requireUnchanged();
  await checkpoint?.requireOwn();
  return session.complete(parts.values());
}
