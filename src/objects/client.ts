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
import type { PutOutput } from "./put/write.js";
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
   * Uploads a file, or any source of known length that can be read at any offset: parts are encrypted apart from each
   * other, `maxConcurrentParts` at a time, within the client's `maxBufferedBytes`. With a `checkpointPath` the same call
   * goes on after a crash with what was not done, on this host or on another; a failure then keeps upload and
   * checkpoint (`details.uploadId`, `details.checkpointPath`), except for the reason of your signal, a condition that
   * does not hold, and your own errors. Nothing is asked of S3 before all of the checkpoint has been authenticated, and until
   * then nothing is ended either. Without it, the upload is aborted if anything fails.
   *
   * @throws EnvelopeError `SOURCE_CHANGED` when the source is not what it was, before anything of it is sent where parts
   *   were begun; `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED`, `SOURCE_TOO_LARGE`; `ENVELOPE_TOO_LARGE`;
   *   `CHECKPOINT_INVALID`, `CONTEXT_MISMATCH` when the checkpoint is of another upload
   */
  upload(input: UploadInput, options: TransferOptions = {}): Promise<PutOutput> {
    return upload(this.#settings, input, options);
  }

  /**
   * Begins an upload whose parts are sent by any number of processes, by {@link uploadPart}. Give each the ticket.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE`, `SOURCE_TOO_LARGE`
   */
  beginUpload(input: BeginUploadInput, options: CallOptions = {}): Promise<UploadTicket> {
    return beginUpload(this.#settings, input, options);
  }

  /**
   * Encrypts one part of an upload and sends it; the result is plain data for {@link completeUpload}. **A part that was
   * tried before must be made of the same bytes**: keep what `onSealed` is told where a process that takes over will
   * find it, and state it as `tagDigest`. At a first attempt state "first-attempt": S3 is then asked, by one ListParts request, for a
   * part of that number, and what is not surely the same is refused. A client also refuses other bytes for any part that
   * it has sealed before, and for its neighbours, for as long as it lives (of 65,536 parts at least). The keyring is asked
   * once for the parts of one ticket.
   *
   * **What cannot be noticed**: an earlier attempt with other bytes whose part never came to be in S3, or that is under way
   * at the same time in another client; bytes of a `Body` or `source` that differ under one `sourceDigest`, or under none;
   * and a store that does not tell the truth.
   *
   * @throws EnvelopeError `SOURCE_CHANGED` before anything of it is sent; `CHECKPOINT_INVALID`, `CONTEXT_MISMATCH`,
   *   `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`; `S3_NOT_FOUND` when the upload is gone; `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED`
   */
  uploadPart(input: UploadPartInput, options: CallOptions = {}): Promise<UploadedPart> {
    return uploadPart(this.#settings, input, options);
  }

  /**
   * Makes the object of its parts, under the `IfMatch` and `IfNoneMatch` that the upload began with. May be called again
   * after a failure. The upload is not aborted when it fails: that is for {@link abortUpload}.
   *
   * @throws EnvelopeError `SOURCE_CHANGED` when two parts are of different sources, by the time of modification of their
   *   files and by the chunks that neighbours share; `CHECKPOINT_INVALID` when a part is missing, was changed or is not of this upload; `CONTEXT_MISMATCH`, `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`
   */
  completeUpload(input: CompleteUploadInput, options: CallOptions = {}): Promise<PutOutput> {
    return completeUpload(this.#settings, input, options);
  }

  /**
   * Gives up an upload, by its ticket or its checkpoint, which is removed. Stop its workers first: a part that arrives
   * later may stay. One that is gone already is no error. Asks no key, unless the envelope is in a sidecar: that is removed
   * only if the key shows the ticket to be what was issued. Where there is no such key any more, the upload is ended all the
   * same, and the sidecar stays and is named.
   *
   * @throws EnvelopeError `CHECKPOINT_INVALID`; what the keyring fails with, if it may succeed later
   */
  abortUpload(input: AbortUploadInput, options: CallOptions = {}): Promise<AbortUploadOutput> {
    return abortUpload(this.#settings, input, options);
  }

  /**
   * Lists the multipart uploads of a bucket that nobody has completed or aborted. **All of them, those of others and
   * those under way too**: S3 does not tell what they are for.
   */
  listUploads(
    input: ListUploadsInput,
    options: CallOptions = {},
  ): AsyncGenerator<UnfinishedUpload, undefined> {
    return listUploads(this.#settings, input, options);
  }

  /**
   * Aborts the multipart uploads that {@link listUploads} lists and that are older than you say. **They may be somebody
   * else's, or still under way, or wait for a resume from a checkpoint**: name a `Prefix` that is yours alone, and an age
   * that no upload reaches.
   */
  abortUploads(input: AbortUploadsInput, options: CallOptions = {}): Promise<AbortUploadsOutput> {
    return abortUploads(this.#settings, input, options);
  }
}
