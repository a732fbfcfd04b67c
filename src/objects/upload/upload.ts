/** Uploads a file, or any source that can be read at any offset, in parallel parts; resumable after a crash. */
import { resolve } from "node:path";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { type Call, callOptions, type TransferOptions, withCall } from "../../transfer/call.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
} from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import {
  type PutOutput,
  type WriteInput,
  type WriteRequest,
  writeArguments,
} from "../put/write-arguments.js";
import { Checkpoint, checkpointHeader, checkpointPathArgument } from "./checkpoint.js";
import { layoutFor, type PartLayout } from "./parts.js";
import { failedUpload, resumeUpload } from "./recovery.js";
import { sendMissingParts } from "./sending.js";
import { UploadSession } from "./session.js";
import { putSinglePart } from "./single-part.js";

/** The input of `upload`: that of PutObject, with a source in place of the body, and the path of a checkpoint. */
export interface UploadInput extends WriteInput, SeekableInput {
  /**
   * Path of a file that makes the upload resumable. After a crash or a failure, call `upload` again with the same input, on
   * this host or on another. The file contains no plaintext and no unwrapped key, and is removed when the upload ends. It
   * must be a regular file that belongs to this user, has no second name, is no link, and that nobody else can write to,
   * and it must not be the file of `filePath`. Without a checkpoint, a crash leaves an unfinished upload in S3.
   */
  readonly checkpointPath?: string | undefined;
}

/** See `EnvelopeClient.upload`. */
export async function upload(
  config: ClientConfig,
  input: UploadInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const { upload: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const given = fieldsArgument<UploadInput>(names.input, input) as UploadInput;
  const { filePath, source: random, checkpointPath, ...others } = given;
  const seekable = seekableArgument({ filePath, source: random });
  const path = checkpointPath === undefined ? undefined : checkpointPathArgument(checkpointPath);
  if (path !== undefined && filePath !== undefined && resolve(path) === resolve(filePath))
    throw checkpointIsSource();
  const request = writeArguments(config, others, "PutObject");
  const target = { ...request.target, operation: "upload", budget: config.budget } as const;
  return withCall(target, checked, async (call) => {
    const source = await openSeekable(seekable, call.signal, config.idleTimeoutMs);
    try {
      if (path !== undefined && (await source.isFileAt(path))) throw checkpointIsSource();
      call.meter.totalBytes = source.length;
      const output = await uploadSource(config, request, source, path, call);
      call.meter.end();
      return output;
    } finally {
      await source.close();
    }
  });
}

function checkpointIsSource(): TypeError {
  return new TypeError("checkpointPath: expected another file than filePath, got the same one");
}

/** Resumes the upload of the checkpoint, if there is one to resume, or begins an upload. */
async function uploadSource(
  config: ClientConfig,
  request: WriteRequest,
  source: SeekableSource,
  checkpointPath: string | undefined,
  call: Call,
): Promise<PutOutput> {
  const layout = layoutFor(config, source.length);
  const found = checkpointPath === undefined ? undefined : await Checkpoint.find(checkpointPath);
  if (found) {
    try {
      const { recorded } = found;
      const output = recorded && (await resumeUpload(config, request, source, found, recorded, call));
      // The checkpoint of an upload that was completed, that does not exist any more or that never began.
      await found.remove();
      if (output) return output;
    } finally {
      await found.close();
    }
  }
  if (layout.partCount === 1) return putSinglePart(config, request, source, layout, call);
  if (checkpointPath === undefined) return uploadParts(config, request, source, layout, undefined, call);
  const checkpoint = await Checkpoint.create(checkpointPath);
  try {
    const output = await uploadParts(config, request, source, layout, checkpoint, call);
    await checkpoint.remove();
    return output;
  } catch (error) {
    if (!checkpoint.hasHeader) await checkpoint.remove().catch(() => undefined);
    throw error;
  } finally {
    await checkpoint.close();
  }
}

/** Begins a multipart upload and sends all of its parts. */
async function uploadParts(
  config: ClientConfig,
  request: WriteRequest,
  source: SeekableSource,
  layout: PartLayout,
  checkpoint: Checkpoint | undefined,
  call: Call,
): Promise<PutOutput> {
  const state = { sourceModifiedMs: source.modifiedMs, sourceDigest: undefined };
  const session = await UploadSession.begin(config, request, layout, state, call);
  let isSending = false;
  try {
    await checkpoint?.recordHeader(checkpointHeader(session.recordKey, session.ticket, request));
    isSending = true;
    return await sendMissingParts(session, source, checkpoint);
  } catch (error) {
    throw await failedUpload(session, checkpoint, { isResumed: false, isSending }, error);
  } finally {
    session.forgetKeys();
  }
}
