/** Writes objects for Amazon's S3 Encryption Clients, in V3 or V2, and re-encrypts their instruction files. */

import type { PutOutput } from "../../objects/put/write-arguments.js";
import type { CallOptions, TransferOptions } from "../../transfer/call.js";
import { deleteLegacy, type LegacyDeleteInput, type LegacyDeleteOutput } from "./delete.js";
import { putLegacy } from "./put.js";
import type { LegacyPutInput } from "./put-input.js";
import { reEncryptInstructionFile } from "./re-encrypt.js";
import type { ReEncryptInstructionFileInput, ReEncryptInstructionFileOutput } from "./re-encrypt-input.js";
import {
  type LegacyWriterConfig,
  type LegacyWriterOptions,
  writerConfigArgument,
} from "./writer-settings.js";

/**
 * Writes objects for readers that use Amazon's S3 Encryption Clients. For all other readers use `EnvelopeClient`: an object
 * of these formats is one message of at most 64 GiB, encrypted on one thread and verified as a whole.
 *
 * Every method rejects as the methods of `EnvelopeClient` do.
 */
export class LegacyWriter {
  readonly #config: LegacyWriterConfig;

  /** @throws TypeError, RangeError when an option is wrong, or when the commitment policy does not allow the algorithm */
  constructor(options: LegacyWriterOptions) {
    this.#config = writerConfigArgument(options);
  }

  /**
   * Encrypts a body under a new data key and stores it: by one PutObject if it fits into one part, otherwise by a multipart
   * upload, which is aborted if anything fails. A retry sends the same bytes again.
   *
   * With `instructionFile`, the instruction file is written first. **The file of an existing object is overwritten before the
   * object is.** If the write of the object fails, the earlier file is restored; `details.lostInstructionFileKey` reports a
   * file that could not be restored. Between the two writes, and after a crash between them, the existing object cannot be
   * read: enable versioning, or write to new keys. If two writers write one key at the same time, both can succeed and leave
   * the object of one with the file of the other, which nobody can read.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE` before anything is sent; `SOURCE_TOO_LARGE` for more than 64 GiB, before
   *   anything is sent if the length is known; `SOURCE_FAILED`, `SOURCE_STALLED`, `SOURCE_LENGTH_MISMATCH`
   */
  put(input: LegacyPutInput, options: TransferOptions = {}): Promise<PutOutput> {
    return putLegacy(this.#config, input, options);
  }

  /**
   * Deletes an object, and then its instruction file `<key>.instruction`, if there is one. Instruction files with other
   * suffixes stay, and so does the file if a version is deleted by its `VersionId`.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` also when S3 confirms the deletion and the object still exists
   */
  delete(input: LegacyDeleteInput, options: CallOptions = {}): Promise<LegacyDeleteOutput> {
    return deleteLegacy(this.#config, input, options);
  }

  /**
   * Wraps the data key of an object that has an instruction file with another key. The object itself does not change. The
   * instruction file is replaced, or a second one is written for readers with another key. The object must have the
   * algorithm of this writer. Before the data key is wrapped, it is proven to belong to the object (`verifyContent`): in V2
   * by reading the whole object. An object of AES/CBC, which requires "never", can afterwards no longer be read by versions 3
   * and 4 of Amazon's client for Java, which read only instruction files of AES/CBC that they have re-encrypted themselves.
   *
   * @throws EnvelopeError `KEY_NOT_ROTATED` when the object has no instruction file, when the new description equals the
   *   current one, when the current key can still unwrap the new file with `enforceRotation`, or when nothing can prove that the
   *   data key belongs to the object; `DECRYPTION_FAILED` when it does not; `S3_PRECONDITION_FAILED` when the object does not
   *   have the ETag of `IfMatch`, or when the object or the file has changed in the meantime; the errors of reading the object
   */
  reEncryptInstructionFile(
    input: ReEncryptInstructionFileInput,
    options: CallOptions = {},
  ): Promise<ReEncryptInstructionFileOutput> {
    return reEncryptInstructionFile(this.#config, input, options);
  }
}
