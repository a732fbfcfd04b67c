/** The input and the output of `get`. */
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { targetArgument } from "../../s3/fields.js";
import type { ClientConfig } from "../encrypted/config.js";
import type { LegacyReadInfo, ReadRequest } from "../encrypted/format.js";
import { rangeArgument } from "../encrypted/range.js";
import {
  type ExpectedContext,
  instructionFileSuffixArgument,
  statedContextArgument,
} from "../encrypted/read-arguments.js";
import type { VerifiedBody } from "./body.js";

/** The input of `get`: the fields of GetObject except PartNumber, and these. `Range` is in plaintext bytes. */
export interface GetInput extends Omit<GetObjectCommandInput, "PartNumber"> {
  /**
   * The context that the object must have, exactly; empty by default. "any" accepts whatever context it has: that is
   * still authenticated, but you must check the result's `encryptionContext` yourself.
   */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** Whether an object that is not encrypted is refused (default) or returned, with `encrypted: false`. */
  readonly unencrypted?: "refuse" | "allow" | undefined;
  /**
   * Reads the body with several requests at a time, each for a block of 8 MiB, and returns it in order; false by
   * default. At most `maxConcurrentParts` requests run at a time, and fewer while `maxBufferedBytes` has no room for
   * the blocks ahead of the reader, which are held in memory. For large objects and readers that are faster than one
   * connection. An object that is not encrypted, or was written by Amazon's clients, is read with one request.
   */
  readonly parallel?: boolean | undefined;
  /**
   * With true, reads and verifies the last chunk first, so that nothing is returned from an object that was cut off;
   * false by default. It takes one small request more, unless the range is at the end of the object. Without it, a range
   * that does not reach the last chunk proves its own bytes, not the size of the object, and a whole body proves it at
   * its end. A range that counts from the end ("bytes=-100") is always read so, because its place depends on the end; up
   * to 200 KiB it takes no further request, and is held in memory until the last chunk has been verified.
   */
  readonly verifyLength?: boolean | undefined;
  /**
   * With legacy reading: the suffix that makes the key of the instruction file from the key of the object, such as
   * ".instruction-rsa". Overrides the option of `legacyReading`.
   */
  readonly instructionFileSuffix?: string | undefined;
}

/** The output of GetObject with sizes and range in plaintext bytes, without checksums, and with a verified body. */
export interface GetOutput extends Omit<GetObjectCommandOutput, "Body" | `Checksum${string}`> {
  /**
   * The plaintext, each byte verified before it is returned. Read it once, or destroy it. An object of Amazon's clients
   * may be returned without verification if you have allowed that: see `legacy.authenticated`.
   */
  readonly Body: VerifiedBody;
  /** False only for an object that is not encrypted, read with `unencrypted: "allow"`. */
  readonly encrypted: boolean;
  /**
   * The context that the object was written with; authenticated. Absent when the object is not encrypted, and when its
   * key was wrapped by Amazon's clients in a way that binds no context.
   */
  readonly encryptionContext?: EncryptionContext;
  /** How an S3 Encryption Client wrote the object, if one did; see `legacyReading`. */
  readonly legacy?: LegacyReadInfo;
}

/** {@link GetInput} after validation. */
export interface GetArguments extends Omit<ReadRequest, "config" | "signal" | "readChunks"> {
  readonly parallel: boolean;
}

/** Checks the input of `get`. */
export function getArguments(config: ClientConfig, input: GetInput): GetArguments {
  const given = fieldsArgument<GetInput>(fieldNames.get.input, input) as GetInput;
  const target = targetArgument("GetObject", given);
  const {
    encryptionContext,
    unencrypted = "refuse",
    verifyLength = false,
    parallel = false,
    ...rest
  } = given;
  const { instructionFileSuffix, Range, ...get } = rest;
  const suffix = instructionFileSuffixArgument(config, instructionFileSuffix);
  return {
    get,
    target,
    range: rangeArgument(Range),
    expected: statedContextArgument(encryptionContext),
    allowUnencrypted: choiceArgument("unencrypted", unencrypted, ["refuse", "allow"]) === "allow",
    parallel: choiceArgument("parallel", parallel, [true, false]),
    verifyLength: choiceArgument("verifyLength", verifyLength, [true, false]),
    instructionFileSuffix: suffix,
  };
}
