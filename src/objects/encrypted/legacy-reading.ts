/** What `get` and `head` have done for objects of Amazon's S3 Encryption Clients, once their reading is switched on. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { RequestTarget } from "../../s3/errors.js";
import type { ContentSuite, LegacyFormat, WrapAlgorithm } from "../../s3ec/suites.js";
import type { ByteRange } from "./range.js";

/** How an object of Amazon's S3 Encryption Clients was written. */
export interface LegacyObjectInfo {
  /** The version of the format. */
  readonly format: LegacyFormat;
  /** The algorithm of the content, by its name in Amazon's clients. */
  readonly contentAlgorithm: ContentSuite["name"];
  /** How the data key is wrapped. Absent where only the key could tell: `head` of version 1. */
  readonly wrapAlgorithm?: WrapAlgorithm["name"];
  /** Where the envelope is. */
  readonly storage: "metadata" | "instruction-file";
  /** The key of the instruction file that it is in. */
  readonly instructionFileKey?: string;
}

/** The same of an object that is being read. */
export interface LegacyReadInfo extends LegacyObjectInfo {
  /**
   * When the body is known to be what was written: "before-release" before its first byte comes out; "at-end" once it
   * has ended without an error, so what came before may be forged; "never" for AES/CBC and for ranges.
   */
  readonly authenticated: "before-release" | "at-end" | "never";
}

/** An object that may be of Amazon's clients. */
export interface LegacyLookup {
  readonly target: RequestTarget;
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** Of this call; undefined for that of the settings. */
  readonly instructionFileSuffix: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Asks for another object of the bucket. */
  askFor(key: string): Promise<ObjectResponse>;
}

/** One that `get` is to read. */
export interface LegacyGet extends LegacyLookup {
  readonly signal: AbortSignal;
  readonly range: ByteRange | undefined;
  /** What the caller states, if anything. */
  readonly expected: EncryptionContext | "any" | undefined;
  readonly allowPlaintext: boolean;
  readonly verifyTail: boolean;
  /** To the first request, which had no range only if none is wanted. */
  readonly first: ObjectResponse;
  /** Bytes of the object, if the first answer tells. */
  readonly totalBytes: number | undefined;
  /** Asks again for the same object. */
  again(range: string | undefined): Promise<ObjectResponse>;
}

/** What was made of it. */
export interface LegacyContent {
  /** Of the answer that the body is read from. */
  readonly output: GetObjectCommandOutput;
  readonly plaintext: AsyncIterable<Uint8Array>;
  /** In bytes of plaintext, as far as they are known. */
  readonly sizes: Pick<GetObjectCommandOutput, "ContentLength" | "ContentRange">;
  readonly encryptionContext: EncryptionContext | undefined;
  readonly legacy: LegacyReadInfo;
}

/** What `head` learns. */
export interface LegacyHead {
  readonly ContentLength: number | undefined;
  readonly legacy: LegacyObjectInfo;
}

/** Reads objects of Amazon's S3 Encryption Clients for an `EnvelopeClient`. Made by `legacyReading`; opaque to callers. */
export interface LegacyReading {
  /** Undefined, with the first answer let go of, when the object is of no such client and may be plaintext. */
  get(object: LegacyGet): Promise<LegacyContent | undefined>;
  /** Undefined when the object is of no such client. */
  head(object: LegacyLookup, totalBytes: number | undefined): Promise<LegacyHead | undefined>;
  /** Metadata without what such a client has put there. */
  userMetadata(metadata: Readonly<Record<string, string>>): Record<string, string>;
}
