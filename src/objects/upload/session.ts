/** An upload session: one multipart upload with its ticket and its keys, shared by all calls that work on uploads. */
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import {
  commitUpload,
  createUpload,
  defaultChecksum,
  type MultipartInput,
  sendPart,
} from "../../s3/multipart.js";
import { findPart, type ListedPart, listAllParts } from "../../s3/stored-parts.js";
import type { Call } from "../../transfer/call.js";
import type { SeekableSource } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { prepareWrite } from "../put/prepare-write.js";
import { withSidecar } from "../put/sidecar-write.js";
import { type PutOutput, putOutput, type WriteRequest } from "../put/write-arguments.js";
import {
  fingerprintOf,
  type PartLayout,
  type SealedPart,
  sealPart,
  type UploadedPart,
  uploadedPart,
} from "./parts.js";
import { RecordKey } from "./records.js";
import {
  forgetTicket,
  issueTicket,
  type ParsedTicket,
  type SourceState,
  type TicketRequest,
  ticketPut,
  type UnlockedTicket,
  type UploadTicket,
  unlockTicket,
} from "./ticket.js";

/** A multipart upload whose ticket this call has issued or verified. */
export class UploadSession implements ParsedTicket, UnlockedTicket {
  readonly config: ClientConfig;
  readonly call: Call;
  readonly ticket: UploadTicket;
  readonly envelope: ParsedTicket["envelope"];
  /** Encrypts the parts. */
  readonly keys: UnlockedTicket["keys"];
  /** Authenticates the records of the upload. */
  readonly recordKey: RecordKey;
  /** The input of all requests of the upload. */
  readonly multipart: MultipartInput;

  private constructor(
    config: ClientConfig,
    call: Call,
    put: MultipartInput["put"],
    { ticket, envelope }: ParsedTicket,
    { keys, recordKey }: UnlockedTicket,
  ) {
    this.config = config;
    this.call = call;
    this.ticket = ticket;
    this.envelope = envelope;
    this.keys = keys;
    this.recordKey = recordKey;
    this.multipart = multipartInput(config, call, put);
  }

  /** Stores the sidecar, if the envelope goes into one, and creates the multipart upload. */
  static async begin(
    config: ClientConfig,
    request: WriteRequest,
    layout: PartLayout,
    source: SourceState,
    call: Call,
  ): Promise<UploadSession> {
    const ChecksumAlgorithm = request.put.ChecksumAlgorithm ?? (await defaultChecksum(config.s3));
    const write = { ...request, put: { ...request.put, ChecksumAlgorithm } };
    const prepared = await prepareWrite(config, write, call.signal);
    const { put, envelope, keys } = prepared;
    const multipart = multipartInput(config, call, put);
    const UploadId = await withSidecar(config, prepared, call, multipart.commit, () =>
      createUpload(multipart),
    );
    const recordKey = new RecordKey(prepared.dataKey);
    const envelopeStorage = request.storage;
    const ticket = issueTicket(recordKey, { put, envelope, envelopeStorage, layout, source, UploadId });
    return new UploadSession(config, call, put, { ticket, envelope }, { keys, recordKey });
  }

  /**
   * Opens an upload by its ticket. Sends no request to S3.
   *
   * @throws EnvelopeError `CHECKPOINT_INVALID`, `CONTEXT_MISMATCH`, `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`, and those
   *   of the keyring
   */
  static async open(
    config: ClientConfig,
    { parsed, expected, SSECustomerKey }: TicketRequest,
    call: Call,
  ): Promise<UploadSession> {
    const put = ticketPut(parsed, SSECustomerKey);
    const unlocked = await unlockTicket(config, parsed, expected, call.signal);
    return new UploadSession(config, call, put, parsed, unlocked);
  }

  /** Reads and encrypts a part in leased memory. The caller releases it. See {@link sealPart}. */
  sealPart(
    source: Pick<SeekableSource, "readInto">,
    partNumber: number,
    signal: AbortSignal = this.call.signal,
  ): Promise<SealedPart> {
    const { config, call, ticket: layout, keys } = this;
    return sealPart({ config, call, layout, keys, signal }, source, partNumber);
  }

  /** Finds a part that S3 has stored, by its number. See {@link findPart}. */
  findPart(partNumber: number): Promise<ListedPart | undefined> {
    return findPart(this.multipart, this.ticket.UploadId, partNumber, { signal: this.call.signal });
  }

  /** Lists the parts that S3 has stored, by number. Undefined when the upload does not exist any more. */
  listParts(): Promise<ReadonlyMap<number, ListedPart> | undefined> {
    return listAllParts(this.multipart, this.ticket.UploadId, this.call.signal);
  }

  /**
   * Sends a part. The caller has made sure that the same plaintext was sent for it before, if any was. Releases its
   * memory if it can be used again.
   *
   * @param modifiedMs modification time of the file that it was read from, if it was
   * @returns the authenticated record of the part
   */
  async sendPart(part: SealedPart, modifiedMs: number | undefined): Promise<UploadedPart> {
    const { UploadId, mac } = this.ticket;
    const { PartNumber: partNumber, bytes, release } = part;
    const stored = await sendPart(this.multipart, UploadId, { partNumber, bytes, release });
    return uploadedPart(this.recordKey, mac, {
      ...stored,
      ...fingerprintOf(part),
      ...(modifiedMs !== undefined && { sourceModifiedMs: modifiedMs }),
    });
  }

  /** Completes the upload of these parts, which are all of them. */
  async complete(parts: Iterable<UploadedPart>): Promise<PutOutput> {
    const output = await commitUpload(this.multipart, this.ticket.UploadId, [...parts]);
    return putOutput(output, this.ticket.plaintextLength);
  }

  /** Forgets the keys that the client has kept for further calls with the same ticket. */
  forgetKeys(): void {
    forgetTicket(this.config, this.ticket);
  }
}

/** The input of all requests of one multipart upload. */
export function multipartInput(config: ClientConfig, call: Call, put: MultipartInput["put"]): MultipartInput {
  const target = { operation: "CompleteMultipartUpload", bucket: put.Bucket ?? "", key: put.Key ?? "" };
  return { ...config, put, target, call, commit: new ConfirmedWrite() };
}
