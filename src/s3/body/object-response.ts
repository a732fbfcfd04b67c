/** What S3 answers to a GetObject, as all reading takes it. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import type { SourceGuard } from "../../source/guarded-source.js";

/** The answer to a GetObject. Whoever asked must read its body to the end or let go of it. */
export interface ObjectResponse {
  readonly output: GetObjectCommandOutput;
  /**
   * Yields `length` bytes of the body from `skip` on, or all when the length is not known. Read it once.
   *
   * @throws EnvelopeError `BODY_INTERRUPTED`, also when fewer bytes come, or more; `BODY_STALLED`
   */
  read(skip: number, length: number | undefined): AsyncIterable<Uint8Array>;
  /**
   * Fills memory, one target after the other, with the body, which must be exactly so long. In place of
   * {@link read}; once this has settled, nothing is written there any more.
   *
   * @throws EnvelopeError `BODY_INTERRUPTED`, `BODY_STALLED`
   */
  readInto(targets: readonly Uint8Array[]): Promise<void>;
  /**
   * The bytes of the body as they come, in place of {@link read}: neither counted nor read on by another request.
   */
  open(guard: SourceGuard): AsyncIterator<Uint8Array>;
  /** The stream of the response, for whoever wants to know its connection. */
  readonly stream: unknown;
  /** Ends the request for good: whatever streams the SDK put around the connection, aborting closes it. */
  letGo(): void;
}
