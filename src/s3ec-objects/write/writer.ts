/** Writes objects that Amazon's S3 Encryption Clients read, in V3 or V2, and rotates keys in their instruction files. */

import type { PutOutput } from "../../objects/put/write-arguments.js";
import type { CallOptions, TransferOptions } from "../../transfer/call.js";
import { deleteLegacy, type LegacyDeleteInput, type LegacyDeleteOutput } from "./delete.js";
import { type LegacyPutInput, putLegacy } from "./put.js";
import {
  type ReEncryptInstructionFileInput,
  type ReEncryptInstructionFileOutput,
  reEncryptInstructionFile,
} from "./re-encrypt.js";
import {
  type LegacyWriterConfig,
  type LegacyWriterOptions,
  writerConfigArgument,
} from "./writer-settings.js";

/**
 * Writes for those who read with Amazon's S3 Encryption Clients. All else is better off with `EnvelopeClient`: an object of
 * these formats is one message of at most 64 GiB, sealed on one thread and verified as a whole. docs/guides/legacy-objects.md compares them.
 *
 * Every call rejects as those of `EnvelopeClient` do.
 */
export class LegacyWriter {
  readonly #settings: LegacyWriterConfig;

  /** @throws TypeError, RangeError when an option is wrong, or the algorithm is not one that the commitment policy allows */
  constructor(options: LegacyWriterOptions) {
    this.#settings = writerConfigArgument(options);
  }

  /**
   * Encrypts a body under a fresh data key and stores it: as one PutObject when it fits into one part, else as a
   * multipart upload, which is aborted if anything fails. Parts that are sent again are sent as they were.
   *
   * With an instruction file, that is written first. **The one of an object that is there already is overwritten before
   * that object is**; when the object's own write fails it is put back, and `details.lostInstructionFileKey` says if it could not be.
   * Between the two, and after a crash there, the earlier object cannot be read: keep versions, or write to new keys.
   * Two writers of one key at a time can both succeed and leave the object of one with the file of the other, which nobody can read.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE` before anything is sent; `SOURCE_TOO_LARGE` for more than 64 GiB, before
   *   anything is sent where the length is known; `SOURCE_FAILED`, `SOURCE_STALLED`, `SOURCE_LENGTH_MISMATCH`
   */
  put(input: LegacyPutInput, options: TransferOptions = {}): Promise<PutOutput> {
    return putLegacy(this.#settings, input, options);
  }

  /**
   * Deletes an object, then its instruction file `<key>.instruction` if there is one. Those with other suffixes stay, and
   * so does that of a version deleted by its `VersionId`.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` also when the answer says success and the object is still there
   */
  delete(input: LegacyDeleteInput, options: CallOptions = {}): Promise<LegacyDeleteOutput> {
    return deleteLegacy(this.#settings, input, options);
  }

  /**
   * Wraps the data key of an object with an instruction file under another key, without touching the object. The
   * instruction file is replaced, or another one is written beside it for readers with another key. What is written goes
   * by this writer's algorithm: the object must have the same. Before the data key is wrapped for anybody, it is proven to
   * be that of this object (`verifyContent`): of V2 by reading all of it. One of AES/CBC, which takes "never", is then no
   * longer read by Amazon's client for Java, versions 3 and 4, which read only their own new wraps of it.
   *
   * @throws EnvelopeError `KEY_NOT_ROTATED` when the object has no instruction file, the new description is the old one, the
   *   old key still opens what was to be rotated, or nothing can prove whose data key it is; `DECRYPTION_FAILED` when the
   *   data key is not that of this object; `S3_PRECONDITION_FAILED` when the object is not the one of `IfMatch`, or somebody
   *   else has changed it or the file meanwhile; and what reading the object rejects with
   */
  reEncryptInstructionFile(
    input: ReEncryptInstructionFileInput,
    options: CallOptions = {},
  ): Promise<ReEncryptInstructionFileOutput> {
    return reEncryptInstructionFile(this.#settings, input, options);
  }
}
