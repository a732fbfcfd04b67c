/** The client of a service: encrypted objects over its own S3Client. */
import { wrongType } from "../base/arguments.js";
import type { CallOptions, TransferOptions } from "../transfer/call.js";
import { type DeleteInput, type DeleteOutput, deleteEncrypted } from "./delete.js";
import { type DownloadInput, type DownloadOutput, download } from "./download/download.js";
import { type ClientConfig, configArgument, type EnvelopeClientOptions } from "./encrypted/config.js";
import { type GetInput, type GetOutput, get } from "./get/get.js";
import { type HeadInput, type HeadOutput, head } from "./head.js";
import { type OpenInput, type OpenObject, type OpenOptions, open } from "./open/open.js";
import { type PutInput, type PutOutput, put } from "./put/put.js";
import {
  type AbortUploadInput,
  type AbortUploadOutput,
  abortUpload,
  type BeginUploadInput,
  beginUpload,
  type CompleteUploadInput,
  completeUpload,
  type UploadedPart,
  type UploadPartInput,
  type UploadTicket,
  uploadPartByTicket,
} from "./upload/distributed.js";
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
 * Returns the configuration of an `EnvelopeClient`, for functions that work beside the client. Not exported by the package:
 * it would let others bypass encryption.
 *
 * @param title the argument that the client is, for messages
 * @throws TypeError when the argument is no `EnvelopeClient`
 */
export let configOf: (title: string, client: unknown) => ClientConfig;

/**
 * Encrypts objects on their way into S3 and decrypts them on their way out. Inputs and outputs have the names and types of
 * the AWS SDK, and a few fields of this package, whose names begin in lower case. No method bypasses encryption.
 *
 * Every method rejects with a TypeError or RangeError for a wrong argument, before it sends a request; with the reason of its
 * `abortSignal`; with an EnvelopeError of a code `S3_*` when a request to S3 fails, with the error of the SDK as its cause;
 * with the errors of the keyring; and with the errors that it lists below. docs/errors.md explains all codes.
 *
 * @example
 * const client = new EnvelopeClient({ s3: createS3Client(), keyring: kmsKeyring({ kms: new KMSClient(), keyId }) });
 * await client.put({ Bucket, Key, Body: createReadStream("report.pdf") });
 * const { Body } = await client.get({ Bucket, Key });
 */
export class EnvelopeClient {
  readonly #config: ClientConfig;

  static {
    configOf = (title, client) => {
      if (typeof client === "object" && client !== null && #config in client) return client.#config;
      throw wrongType(title, "an EnvelopeClient", client);
    };
  }

  /** @throws TypeError, RangeError when an option is wrong */
  constructor(options: EnvelopeClientOptions) {
    this.#config = configArgument(options);
  }

  /**
   * Encrypts a body under a new data key and stores it: with one PutObject request if it fits into one part, otherwise as a
   * multipart upload, which is aborted if anything fails. Waits for memory within `maxBufferedBytes` before it reads the
   * body, and again before each part.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE` before anything is sent; `SOURCE_FAILED`, `SOURCE_STALLED`,
   *   `SOURCE_LENGTH_MISMATCH`, `SOURCE_TOO_LARGE` when the body fails
   */
  put(input: PutInput, options: TransferOptions = {}): Promise<PutOutput> {
    return put(this.#config, input, options);
  }

  /**
   * Reads an object, or a `Range` of its plaintext. When the promise resolves, the encryption context has been compared, the
   * data key unwrapped and the key commitment checked; the body then yields verified plaintext only.
   *
   * With the client option `legacy`, it also reads objects of Amazon's S3 Encryption Clients. The body of such an object is
   * verified as a whole before its first byte is released, which takes time. **Ranges, AES/CBC content and
   * `releaseUnverifiedPlaintext` yield unverified bytes**, and each of them must be allowed. `legacy.authenticated` in the
   * output tells them apart.
   *
   * @throws EnvelopeError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`, `LEGACY_FORMAT`,
   *   `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`, `DECRYPTION_FAILED`, `BODY_TRUNCATED`; for an object with a sidecar or an
   *   instruction file also `BODY_INTERRUPTED` and `BODY_STALLED`; with legacy reading `LEGACY_REFUSED` and
   *   `LEGACY_TOO_LARGE`. The body is destroyed with `DECRYPTION_FAILED`, `BODY_TRUNCATED`, `BODY_INTERRUPTED` or
   *   `BODY_STALLED`; with a code of S3 when other requests needed its connection and the rest was requested again; and for a
   *   legacy object with `LEGACY_TOO_LARGE` or `FILE_FAILED`
   */
  get(input: GetInput, options: TransferOptions = {}): Promise<GetOutput> {
    return get(this.#config, input, options);
  }

  /**
   * Downloads an object to a file, with up to `maxConcurrentParts` requests at a time. Each request reads a block of 8 MiB,
   * which is verified before it is written. A call after a failed or killed one verifies the blocks that are in the partial
   * file and resumes. The file gets its final name once it is complete.
   *
   * @throws EnvelopeError `FILE_FAILED`; the errors of `get` and its body, and `ENVELOPE_MISSING` for every object that is not
   *   encrypted. `details.partialPath` names the partial file if it is kept for the next call
   */
  download(input: DownloadInput, options: TransferOptions = {}): Promise<DownloadOutput> {
    return download(this.#config, input, options);
  }

  /**
   * Opens an object for reads at any offset. One request reads its last bytes, which prove its length, and one call of the
   * keyring serves all reads. All reads are of the object as it was opened; after it was overwritten they reject with
   * `BODY_INTERRUPTED`.
   *
   * @throws EnvelopeError the errors of `get`; `DECRYPTION_FAILED` and `BODY_TRUNCATED` also for an object that was cut off
   */
  open(input: OpenInput, options: OpenOptions = {}): Promise<OpenObject> {
    return open(this.#config, input, options);
  }

  /**
   * Describes an object, with its size in plaintext bytes. Does not use the key, so nothing in the output is authenticated.
   * With legacy reading, an object without an envelope takes one more request, for its instruction file.
   *
   * @throws EnvelopeError `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`, `LEGACY_FORMAT`, `BODY_TRUNCATED`
   */
  head(input: HeadInput, options: CallOptions = {}): Promise<HeadOutput> {
    return head(this.#config, input, options);
  }

  /**
   * Deletes an object. With `envelopeStorage: "sidecar"`, in the options of the client or in the input, it first looks for the
   * sidecar with one HeadObject request, and removes the sidecar last. **Without it, a sidecar is left behind**: it holds
   * wrapped keys only, and costs its storage.
   *
   * A sidecar that cannot be found, as without permission for HeadObject, is left behind as well. The output names a sidecar
   * that could not be removed. It also names the sidecar of a version that was deleted by `VersionId`, which is kept because
   * copies of the version may need it.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` also when the response reports success and the object still exists
   */
  delete(input: DeleteInput, options: CallOptions = {}): Promise<DeleteOutput> {
    return deleteEncrypted(this.#config, input, options);
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
    return upload(this.#config, input, options);
  }

  /**
   * Begins an upload whose parts are sent by any number of processes with `uploadPart`. Give the ticket to each.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE`, `SOURCE_TOO_LARGE`
   */
  beginUpload(input: BeginUploadInput, options: CallOptions = {}): Promise<UploadTicket> {
    return beginUpload(this.#config, input, options);
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
    return uploadPartByTicket(this.#config, input, options);
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
    return completeUpload(this.#config, input, options);
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
    return abortUpload(this.#config, input, options);
  }

  /**
   * Lists the multipart uploads of a bucket that are neither completed nor aborted. **These are all uploads, including
   * those of other applications and those in progress**: S3 does not record their purpose.
   */
  listUploads(
    input: ListUploadsInput,
    options: CallOptions = {},
  ): AsyncGenerator<UnfinishedUpload, undefined> {
    return listUploads(this.#config, input, options);
  }

  /**
   * Aborts the multipart uploads that {@link listUploads} lists and that are older than a given age. **They may belong to
   * other applications, be in progress, or wait for a resume from a checkpoint**: give a `Prefix` that only you use, and
   * an age that no upload reaches.
   */
  abortUploads(input: AbortUploadsInput, options: CallOptions = {}): Promise<AbortUploadsOutput> {
    return abortUploads(this.#config, input, options);
  }
}
