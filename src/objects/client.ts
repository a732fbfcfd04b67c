/** The client that a service uses: put, get, download, open, head and delete of encrypted objects over its own S3Client. */

import type { CallOptions, TransferOptions } from "../transfer/call-signal.js";
import { type DeleteInput, type DeleteOutput, deleteObject } from "./delete.js";
import { download } from "./download/download.js";
import type { DownloadInput, DownloadOutput } from "./download/download-input.js";
import {
  type ClientConfig,
  configArgument,
  type EnvelopeClientOptions,
  keepConfig,
} from "./encrypted/config.js";
import { get } from "./get/get.js";
import type { GetInput, GetOutput } from "./get/get-input.js";
import { type HeadInput, type HeadOutput, head } from "./head.js";
import type { OpenObject } from "./open/object-reader.js";
import { type OpenInput, type OpenOptions, open } from "./open/open.js";
import { type PutInput, put } from "./put/put.js";
import type { PutOutput } from "./put/write-arguments.js";
import { type AbortUploadInput, type AbortUploadOutput, abortUpload } from "./upload/abort.js";
import {
  type BeginUploadInput,
  beginUpload,
  type CompleteUploadInput,
  completeUpload,
} from "./upload/distributed.js";
import { type UploadPartInput, uploadPart } from "./upload/part-upload.js";
import type { UploadedPart } from "./upload/parts.js";
import type { UploadTicket } from "./upload/ticket.js";
import {
  type AbortUploadsInput,
  type AbortUploadsOutput,
  abortUploads,
  type ListUploadsInput,
  listUploads,
  type UnfinishedUpload,
} from "./upload/unfinished-uploads.js";
import { type UploadInput, upload } from "./upload/upload.js";

/**
 * Encrypts objects on their way into S3 and decrypts them on their way out. Inputs and outputs carry the names
 * and types of the AWS SDK. Nothing that would bypass encryption is reachable through it.
 *
 * Every call rejects with TypeError or RangeError for a wrong argument, before any request; with the reason of
 * an aborted signal; with an EnvelopeError of codes `S3_*` for a failure of S3, the SDK's error as its cause;
 * with the keyring's errors; and with what is named at each method. docs/errors.md explains every code.
 */
export class EnvelopeClient {
  readonly #settings: ClientConfig;

  /** @throws TypeError, RangeError when an option is wrong */
  constructor(options: EnvelopeClientOptions) {
    this.#settings = configArgument(options);
    keepConfig(this, this.#settings);
  }

  /**
   * Encrypts a body under a fresh data key and stores it: as one PutObject when it fits into one part, else as
   * a multipart upload, which is aborted if anything fails. Waits for its share of `maxBufferedBytes`
   * before it reads the body, and again before each part.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE` before anything is sent; `SOURCE_FAILED`, `SOURCE_STALLED`,
   *   `SOURCE_LENGTH_MISMATCH`, `SOURCE_TOO_LARGE` for what the body did
   */
  put(input: PutInput, options: TransferOptions = {}): Promise<PutOutput> {
    return put(this.#settings, input, options);
  }

  /**
   * Reads an object, or the `Range` of it. When this resolves, the context has been compared, the data key
   * unwrapped and the key commitment checked; the body then yields verified plaintext only.
   *
   * With `legacy` among the client's options, objects of Amazon's S3 Encryption Clients are read as well. Of those a body
   * is verified as a whole before its first byte comes out, so that comes late; **a range, AES/CBC content and
   * `releaseUnverifiedPlaintext` yield what is not verified**, and each has to be allowed. `legacy.authenticated` of the
   * result says which it is.
   *
   * @throws EnvelopeError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`,
   *   `LEGACY_FORMAT`, `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`, `DECRYPTION_FAILED`, `BODY_TRUNCATED`; of an
   *   object with a sidecar or an instruction file, `BODY_INTERRUPTED` and `BODY_STALLED`; with legacy reading,
   *   `LEGACY_REFUSED` and `LEGACY_TOO_LARGE`. The body is destroyed with `DECRYPTION_FAILED`, `BODY_TRUNCATED`,
   *   `BODY_INTERRUPTED` or `BODY_STALLED`, and with those of S3 when its connection was needed by other requests and the
   *   rest is asked for; of a legacy object also with `LEGACY_TOO_LARGE` or `FILE_FAILED`.
   */
  get(input: GetInput, options: TransferOptions = {}): Promise<GetOutput> {
    return get(this.#settings, input, options);
  }

  /**
   * Downloads an object to a file: `maxConcurrentParts` requests at a time, each for 8 MiB that are verified before
   * they are written. What a killed or failed call has left is verified and gone on from. Nothing has the final
   * name before all of it is there.
   *
   * @throws EnvelopeError `FILE_FAILED`; and what `get` and its body do, but `ENVELOPE_MISSING` for every object
   *   that is not encrypted. `details.partialPath` names what is kept for the next call, if anything is
   */
  download(input: DownloadInput, options: TransferOptions = {}): Promise<DownloadOutput> {
    return download(this.#settings, input, options);
  }

  /**
   * Opens an object for reads at any offset: one request of its last bytes, which also proves its length, and one call
   * of the keyring for all reads. Every read is of the object as it was opened; once another has taken its place, reads
   * reject with `BODY_INTERRUPTED`.
   *
   * @throws EnvelopeError as `get` does, `DECRYPTION_FAILED` and `BODY_TRUNCATED` also for an object that was cut off
   */
  open(input: OpenInput, options: OpenOptions = {}): Promise<OpenObject> {
    return open(this.#settings, input, options);
  }

  /**
   * Tells what is known of an object, with its size in plaintext bytes. Asks no key, so proves nothing. With legacy
   * reading, one request more for each object without an envelope: for its instruction file.
   *
   * @throws EnvelopeError `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`, `LEGACY_FORMAT`, `BODY_TRUNCATED`
   */
  head(input: HeadInput, options: CallOptions = {}): Promise<HeadOutput> {
    return head(this.#settings, input, options);
  }

  /**
   * Deletes an object. With `envelopeStorage: "sidecar"`, of the client or of the call, it looks for the object's sidecar
   * first, by one HeadObject request, and removes it last. **Without it nobody looks, and a sidecar stays**: it holds no key
   * that is not wrapped, and costs its storage. A sidecar that cannot be found (no
   * permission for HeadObject, say) stays; one that cannot be removed is named in the result, and so is that of a
   * version deleted by its `VersionId`, which stays, since a copy of that version may need it.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` also when the answer says success and the object is still there
   */
  delete(input: DeleteInput, options: CallOptions = {}): Promise<DeleteOutput> {
    return deleteObject(this.#settings, input, options);
  }

  /**
   * Uploads a file, or any source of known length that can be read at any offset. Parts are encrypted independently,
   * `maxConcurrentParts` at a time, within the client's `maxBufferedBytes`.
   *
   * With a `checkpointPath`, call `upload` again with the same input after a crash or a failure, on this host or on another:
   * it sends only the missing parts. A failure then keeps upload and checkpoint (`details.uploadId`,
   * `details.checkpointPath`), except for the reason of your signal, a condition that does not hold, and an error of your
   * own. The whole checkpoint is authenticated before it causes any request. Without a checkpoint, the upload is aborted
   * if anything fails.
   *
   * @throws EnvelopeError `SOURCE_CHANGED` when the source has changed; if parts were started, before anything of it is
   *   sent. `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED`, `SOURCE_TOO_LARGE`, `ENVELOPE_TOO_LARGE`;
   *   `CHECKPOINT_INVALID` and `CONTEXT_MISMATCH` when the checkpoint belongs to another upload
   */
  upload(input: UploadInput, options: TransferOptions = {}): Promise<PutOutput> {
    return upload(this.#settings, input, options);
  }

  /**
   * Begins an upload whose parts are sent by any number of processes with {@link uploadPart}. Give the ticket to each.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE`, `SOURCE_TOO_LARGE`
   */
  beginUpload(input: BeginUploadInput, options: CallOptions = {}): Promise<UploadTicket> {
    return beginUpload(this.#settings, input, options);
  }

  /**
   * Encrypts and sends one part of an upload. The result is plain data for {@link completeUpload}.
   *
   * **A part that was attempted before must be sent with the same bytes.** Store what `onSealed` receives where a process
   * that takes over finds it, and state its `tagDigest`. At a first attempt, state "first-attempt": one ListParts request
   * then asks S3 for a part of that number, and the call is refused unless that part is certainly the same. A client also
   * refuses other bytes for any part that it has encrypted before, and for its neighbours, as long as it lives (for at
   * least 65,536 parts). It calls the keyring once for the parts of a ticket.
   *
   * **This does not detect** an earlier attempt with other bytes whose part never reached S3, or that another client makes
   * at the same time; bytes of a `Body` or `source` that differ under the same `sourceDigest`, or under none; and a store
   * whose responses are wrong.
   *
   * @throws EnvelopeError `SOURCE_CHANGED` before anything of the part is sent; `CHECKPOINT_INVALID`, `CONTEXT_MISMATCH`,
   *   `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`; `S3_NOT_FOUND` when the upload does not exist any more; `FILE_FAILED`,
   *   `SOURCE_FAILED`, `SOURCE_STALLED`
   */
  uploadPart(input: UploadPartInput, options: CallOptions = {}): Promise<UploadedPart> {
    return uploadPart(this.#settings, input, options);
  }

  /**
   * Completes an upload: its parts become the object, under the `IfMatch` and `IfNoneMatch` of `beginUpload`. Can be
   * repeated after a failure, which does not abort the upload; see {@link abortUpload}.
   *
   * @throws EnvelopeError `SOURCE_CHANGED` when two parts are of different sources, by the modification times of their
   *   files and by the chunks that neighbours share; `CHECKPOINT_INVALID` when a part is missing, was changed or belongs to
   *   another upload; `CONTEXT_MISMATCH`, `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`
   */
  completeUpload(input: CompleteUploadInput, options: CallOptions = {}): Promise<PutOutput> {
    return completeUpload(this.#settings, input, options);
  }

  /**
   * Aborts an upload, by its ticket or its checkpoint, and removes the checkpoint. Stop its workers first: a part that
   * arrives later may be stored. An upload that does not exist any more is no error. Needs no key, unless the envelope is
   * in a sidecar, which is removed only if the key verifies the ticket. If no key can verify it, the upload is aborted all
   * the same, and the sidecar is kept and named in the result.
   *
   * @throws EnvelopeError `CHECKPOINT_INVALID`; retryable errors of the keyring
   */
  abortUpload(input: AbortUploadInput, options: CallOptions = {}): Promise<AbortUploadOutput> {
    return abortUpload(this.#settings, input, options);
  }

  /**
   * Lists the multipart uploads of a bucket that are neither completed nor aborted. **These are all uploads, including
   * those of other applications and those in progress**: S3 does not record their purpose.
   */
  listUploads(
    input: ListUploadsInput,
    options: CallOptions = {},
  ): AsyncGenerator<UnfinishedUpload, undefined> {
    return listUploads(this.#settings, input, options);
  }

  /**
   * Aborts the multipart uploads that {@link listUploads} lists and that are older than a given age. **They may belong to
   * other applications, be in progress, or wait for a resume from a checkpoint**: give a `Prefix` that only you use, and
   * an age that no upload reaches.
   */
  abortUploads(input: AbortUploadsInput, options: CallOptions = {}): Promise<AbortUploadsOutput> {
    return abortUploads(this.#settings, input, options);
  }
}
