/** What `get` takes and gives, and its input once checked. */
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument, textArgument } from "../../base/arguments.js";
import { type Fields, fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { refuseFields, targetArgument } from "../../s3/fields.js";
import type { CallSignal, TransferOptions } from "../../transfer/call-signal.js";
import { ProgressMeter, progressArgument } from "../../transfer/progress.js";
import type { ClientConfig } from "../encrypted/config.js";
import type { LegacyReadInfo } from "../encrypted/legacy-reading.js";
import type { ObjectRequest } from "../encrypted/object-request.js";
import { type ByteRange, rangeArgument } from "../encrypted/range.js";
import { type ExpectedContext, expectedContextArgument } from "../encrypted/read-envelope.js";
import type { VerifiedBody } from "./body.js";

/** What `get` takes: the input of GetObject but for PartNumber, and these. `Range` is in plaintext bytes. */
export interface GetInput extends Omit<GetObjectCommandInput, "PartNumber"> {
  /**
   * The context that the object must have, exactly; empty by default. "any" accepts whatever it has: it is
   * still authenticated, but you must look at the result's `encryptionContext` yourself.
   */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** Whether an object that is not encrypted is refused (default) or returned, with `encrypted: false`. */
  readonly unencrypted?: "refuse" | "allow" | undefined;
  /**
   * Whether the body is read by several requests at a time, each for 8 MiB, and handed out in order; false by default.
   * At most `maxConcurrentParts`, and fewer while `maxBufferedBytes` has nothing to spare: what is ahead of the reader
   * is held in memory. For large objects and pipes that are faster than one connection. An object that is not
   * encrypted, and one of Amazon's clients, is read by one request.
   */
  readonly parallel?: boolean | undefined;
  /**
   * With true, reads and verifies the last chunk first, so that nothing is handed out of an object that was cut off: one
   * small request more, unless the end of the object is all that is wanted. Without it a range that does not reach the
   * last chunk proves its own bytes, not the size of the object; and a whole body tells at its end. A range that counts
   * from the end ("bytes=-100") is always read so, as where it lies depends on the end; up to 200 KiB it takes no
   * request more, and is held in memory until the last chunk has verified.
   */
  readonly verifyLength?: boolean | undefined;
  /**
   * With legacy reading: what follows the object's key in the key of its instruction file, such as ".instruction-rsa".
   * Overrides the setting of `legacyReading`.
   */
  readonly instructionFileSuffix?: string | undefined;
}

/** What `get` gives: the output of GetObject with sizes and range in plaintext bytes, without checksums, and these. */
export interface GetOutput extends Omit<GetObjectCommandOutput, "Body" | `Checksum${string}`> {
  /**
   * The plaintext, each byte verified before it comes out. Read it once, or destroy it. Only of an object of Amazon's
   * clients it can be otherwise, when you have allowed that: see `legacy.authenticated`.
   */
  readonly Body: VerifiedBody;
  /** False only for an object that is not encrypted, read with `unencrypted: "allow"`. */
  readonly encrypted: boolean;
  /**
   * The context that the object was written with; authenticated. Absent when it is not encrypted, and when its key was
   * wrapped by Amazon's clients in a way that binds none.
   */
  readonly encryptionContext?: EncryptionContext;
  /** How Amazon's client wrote the object, if one did; see `legacyReading`. */
  readonly legacy?: LegacyReadInfo;
}

/** {@link GetInput} once checked. */
export interface GetRequest extends ObjectRequest {
  readonly range: ByteRange | undefined;
  readonly allowPlaintext: boolean;
  readonly parallel: boolean;
  readonly verifyTail: boolean;
  /** Whether the caller has said what the context must be: for some legacy objects, nothing said is no empty context. */
  readonly statesContext: boolean;
  readonly instructionFileSuffix: string | undefined;
  readonly transfer: CallSignal;
  /** There is none when nobody listens. */
  readonly meter: ProgressMeter | undefined;
}

/** Checks the input of `get`. */
export function getArguments(
  { legacy }: ClientConfig,
  input: GetInput,
  options: Fields<TransferOptions>,
  transfer: CallSignal,
): GetRequest {
  const given = fieldsArgument<GetInput>(fieldNames.get.input, input) as GetInput;
  const target = targetArgument("GetObject", given);
  const {
    encryptionContext,
    unencrypted = "refuse",
    verifyLength = false,
    parallel = false,
    Range,
    ...rest
  } = given;
  const { instructionFileSuffix: suffix, ...get } = rest;
  if (!legacy) refuseFields(given, ["instructionFileSuffix"], "legacy reading is off: leave it out");
  const listener = progressArgument(options.onProgress);
  const subject = { operation: "get", Bucket: target.bucket, Key: target.key } as const;
  return {
    get,
    target: target,
    range: rangeArgument(Range),
    expected: expectedContextArgument(encryptionContext),
    allowPlaintext: choiceArgument("unencrypted", unencrypted, ["refuse", "allow"]) === "allow",
    parallel: choiceArgument("parallel", parallel, [true, false]),
    verifyTail: choiceArgument("verifyLength", verifyLength, [true, false]),
    statesContext: encryptionContext !== undefined,
    instructionFileSuffix: suffix === undefined ? undefined : textArgument("instructionFileSuffix", suffix),
    transfer,
    meter: listener && new ProgressMeter(subject, listener),
  };
}
