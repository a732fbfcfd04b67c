/** The client that a service uses: put, get, head and delete of encrypted objects over its own S3Client. */
import { type DeleteInput, type DeleteOutput, deleteObject } from "./delete.js";
import { type GetInput, type GetOutput, get } from "./get.js";
import { type HeadInput, type HeadOutput, head } from "./head.js";
import { type PutInput, put } from "./put.js";
import {
  type CallOptions,
  type ClientSettings,
  type EnvelopeClientOptions,
  settingsArgument,
} from "./settings.js";
import type { PutOutput } from "./write.js";

/**
 * Encrypts objects on their way into S3 and decrypts them on their way out. Inputs and outputs carry the names
 * and types of the AWS SDK. Nothing but these four operations is reachable through it.
 *
 * Every call rejects with TypeError or RangeError for a wrong argument, before any request; with the reason of
 * an aborted signal; with an EnvelopeError of codes `S3_*` for a failure of S3, the SDK's error as its cause;
 * with the keyring's errors; and with what is named at each method. docs/errors.md explains every code.
 */
export class EnvelopeClient {
  readonly #settings: ClientSettings;

  /** @throws TypeError, RangeError when an option is wrong */
  constructor(options: EnvelopeClientOptions) {
    this.#settings = settingsArgument(options);
  }

  /**
   * Encrypts a body under a fresh data key and stores it: as one PutObject when it fits into one part, else as
   * a multipart upload, which is aborted if anything fails. Holds at most `maxConcurrentParts` + 2 parts.
   *
   * @throws EnvelopeError `ENVELOPE_TOO_LARGE` before anything is sent; `SOURCE_FAILED`, `SOURCE_STALLED`,
   *   `SOURCE_LENGTH_MISMATCH`, `SOURCE_TOO_LARGE` for what the body did
   */
  put(input: PutInput, options: CallOptions = {}): Promise<PutOutput> {
    return put(this.#settings, input, options);
  }

  /**
   * Reads an object, or the `Range` of it. When this resolves, the context has been compared, the data key
   * unwrapped and the key commitment checked; the body then yields verified plaintext only.
   *
   * @throws EnvelopeError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`,
   *   `LEGACY_FORMAT`, `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`, `DECRYPTION_FAILED`, `BODY_TRUNCATED`; of an
   *   object with a sidecar, `BODY_INTERRUPTED` and `BODY_STALLED`. The body is destroyed with `DECRYPTION_FAILED`, `BODY_TRUNCATED`, `BODY_INTERRUPTED` or `BODY_STALLED`.
   */
  get(input: GetInput, options: CallOptions = {}): Promise<GetOutput> {
    return get(this.#settings, input, options);
  }

  /**
   * Tells what is known of an object, with its size in plaintext bytes. Asks no key, so proves nothing.
   *
   * @throws EnvelopeError `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`, `LEGACY_FORMAT`, `BODY_TRUNCATED`
   */
  head(input: HeadInput, options: CallOptions = {}): Promise<HeadOutput> {
    return head(this.#settings, input, options);
  }

  /**
   * Deletes an object. A client with `envelopeStorage: "sidecar"` looks for the object's sidecar first and
   * removes it last; others leave a sidecar behind, which is harmless. A sidecar that cannot be found (no
   * permission for HeadObject, say) stays; one that cannot be removed is named in the result, and so is that of a
   * version deleted by its `VersionId`, which stays, since a copy of that version may need it.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` also when the answer says success and the object is still there
   */
  delete(input: DeleteInput, options: CallOptions = {}): Promise<DeleteOutput> {
    return deleteObject(this.#settings, input, options);
  }
}
