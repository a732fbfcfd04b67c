/** A stored format of objects, as `get`, `open`, `download` and `head` use it: the type of a row of the table in formats.ts. */
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import type { CryptoEngine } from "../../cobblestone/engine/engine.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { ContentSuite, LegacyFormat, WrapAlgorithm } from "../../s3ec/suites.js";
import type { ObjectRequest, PinnedObject } from "./pinned-object.js";
import type { ByteRange } from "./range.js";
import type { ExpectedContext } from "./read-arguments.js";
import type { TransferConfig } from "./transfer-config.js";

/** A stored format of objects. `Unlocked` is the type of its objects once their key has been unwrapped. */
export interface ObjectFormat<Unlocked = UnlockedObject> {
  /**
   * Finds the envelope of an object.
   *
   * @returns undefined when the object is not of this format
   */
  find(object: ObjectLookup): Promise<FoundObject<Unlocked> | undefined>;
  /**
   * The Range to request when S3 has no such range as was requested for the native format, whose objects are longer than
   * their plaintext. Absent when objects of this format are refused.
   */
  readonly fallbackRange?: (range: ByteRange | undefined) => string | undefined;
}

/** An object whose metadata has been received, and whose format is to be found. */
export interface ObjectLookup extends PinnedObject {
  readonly metadata: Readonly<Record<string, string>>;
  /** The suffix of the call; undefined for that of the client. */
  readonly instructionFileSuffix: string | undefined;
  /** Whether the caller refuses an object that is not encrypted. */
  readonly refusesUnencrypted: boolean;
  /** Closes the body that is still open, if any: it holds a connection that further requests may be waiting for. */
  readonly closeBody: () => void;
}

/** An object whose envelope has been found. Nothing about it has been authenticated. */
export interface FoundObject<Unlocked = UnlockedObject> {
  /** Describes the object for `head`, without its key. */
  describe(output: HeadObjectCommandOutput): Promise<ObjectDescription>;
  /** Unwraps the data key. */
  unlock(object: RequestedObject): Promise<Unlocked>;
  /** The instruction file that holds the envelope, if one does. */
  readonly instructionFile?: { readonly key: string; readonly ETag: string | undefined } | undefined;
}

/** The fields that `head` returns in place of those of HeadObject, or beside them. */
export interface ObjectDescription
  extends Partial<Pick<HeadObjectCommandOutput, "ContentLength" | "Metadata">> {
  readonly encrypted: boolean;
  readonly encryptionContext?: EncryptionContext;
  readonly recipients?: readonly RecipientName[];
  readonly legacy?: LegacyObjectInfo;
}

/** A wrapped data key of an object, without the wrapped bytes. */
export interface RecipientName {
  readonly provider: string;
  readonly keyId: string;
}

/** A request to read an object, whole or a range of it. */
export interface ReadRequest extends ObjectRequest {
  /** In bytes of plaintext. */
  readonly range?: ByteRange | undefined;
  /** The context that the caller states; undefined if none was stated, which differs from an empty one in legacy formats. */
  readonly expected: ExpectedContext | undefined;
  /** Whether the length of the object is proved before any plaintext is returned. */
  readonly verifyLength?: boolean;
  readonly allowUnencrypted?: boolean;
  readonly instructionFileSuffix?: string | undefined;
  /** Decrypts the chunks of a native object; by default one after the other, from one response. */
  readonly readChunks?: ReadChunks | undefined;
}

/** An object whose first response has been received. */
export interface RequestedObject extends ReadRequest, PinnedObject {
  readonly first: FirstResponse;
}

/** The response to the first request about an object. */
export interface FirstResponse {
  readonly response: ObjectResponse;
  /** The number of bytes that were requested from the end of the object, if they were. */
  readonly tailBytes: number | undefined;
  /** Whether the body can still be read, and is what the call wants to read. */
  readonly isUsable: () => boolean;
  readonly close: () => void;
}

/** An object whose key has been unwrapped, with the key commitment checked. */
export interface UnlockedObject {
  openWhole(): Promise<OpenedContent>;
  openRange(range: ByteRange): Promise<OpenedContent>;
}

/** The content of an object, or of a range of it. */
export interface OpenedContent {
  /** Sizes and ranges are in bytes of plaintext. */
  readonly output: ContentOutput;
  /** Verified, unless `output.legacy` says otherwise. */
  readonly plaintext: AsyncIterable<Uint8Array>;
  /** The range that was requested from S3, for error details. */
  readonly ciphertextRange?: string;
}

/** The output of `get`, without the body. */
export interface ContentOutput extends Omit<GetObjectCommandOutput, "Body" | `Checksum${string}`> {
  readonly encrypted: boolean;
  readonly encryptionContext?: EncryptionContext;
  readonly legacy?: LegacyReadInfo;
}

/** Decrypts chunks of a native object, beginning with those that a body holds. */
export type ReadChunks = (
  object: ReadableObject,
  body: AsyncIterable<Uint8Array>,
  chunks: ChunksToRead,
) => AsyncIterable<Uint8Array>;

/** A native object with the keys of its body. */
export interface ReadableObject extends PinnedObject {
  readonly config: TransferConfig & { readonly engine: CryptoEngine };
  readonly keys: MessageKeys;
  /** Bytes of the object in S3. */
  readonly ciphertextLength: number;
}

/** The chunks to read from a body and, behind it, from further requests. */
export interface ChunksToRead {
  readonly firstChunk: number;
  /** One past the last. */
  readonly endChunk: number;
  /** Whether the body begins with the header. */
  readonly startsWithHeader: boolean;
}

/** How an object of Amazon's S3 Encryption Clients was written. */
export interface LegacyObjectInfo {
  /** The version of the format. */
  readonly format: LegacyFormat;
  /** The algorithm of the content, by its name in Amazon's clients. */
  readonly contentAlgorithm: ContentSuite["name"];
  /** How the data key is wrapped. Absent from `head` of version 1, where only the key shows it. */
  readonly wrapAlgorithm?: WrapAlgorithm["name"];
  /** The place of the envelope. */
  readonly storage: "metadata" | "instruction-file";
  /** The key of the instruction file that holds the envelope. */
  readonly instructionFileKey?: string;
}

/** How an object of Amazon's S3 Encryption Clients was written, and when its content is verified. */
export interface LegacyReadInfo extends LegacyObjectInfo {
  /**
   * When the body is known to be what was written: "before-release" before its first byte is returned; "at-end" once the
   * body has ended without an error, so earlier bytes may be forged; "never" for AES/CBC and for ranges.
   */
  readonly authenticated: "before-release" | "at-end" | "never";
}

/** Reads objects of Amazon's S3 Encryption Clients for an `EnvelopeClient`. Made by `legacyReading`; opaque to callers. */
export interface LegacyReading {
  readonly reads: "objects of Amazon's S3 Encryption Clients";
  /** @internal */
  readonly format?: ObjectFormat;
}
