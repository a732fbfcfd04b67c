/** Opens one object for many small reads: its key is unwrapped once, and every read takes one ranged request or none. */
import type { GetObjectCommandInput } from "@aws-sdk/client-s3";
import { integerArgument } from "../../base/arguments.js";
import { sealedBytes } from "../../cobblestone/layout.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { targetArgument } from "../../s3/fields.js";
import { type CallOptions, checkedOptions, withCall } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";
import { nativeFormats } from "../encrypted/formats.js";
import { openEncryptedObject } from "../encrypted/open-object.js";
import { type ExpectedContext, expectedContextArgument } from "../encrypted/read-arguments.js";
import { type OpenObject, openObject } from "./object-reader.js";

export type { OpenObject } from "./object-reader.js";

type RefusedField = "PartNumber" | "Range" | `Response${string}`;

/** The input of `open`: the fields of GetObject except those for parts, ranges and response headers, and this. */
export interface OpenInput extends Omit<GetObjectCommandInput, RefusedField> {
  /** As for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
}

/** Options of `open`. The signal aborts the opening only; `close()` closes the object. */
export interface OpenOptions extends CallOptions {
  /**
   * How many bytes to fetch ahead, in two requests, when each read begins where the one before it ended; 0 by default,
   * for none, to 64 MiB. Rounded down to pairs of chunks, 32 KiB at least.
   */
  readonly prefetchBytes?: number | undefined;
}

const maxPrefetchBytes = 64 * 1024 * 1024;
/** The last chunk, and a whole one before it. */
const tailBytes = sealedBytes(2);

/** See `EnvelopeClient.open`. */
export async function open(
  config: ClientConfig,
  input: OpenInput,
  options: OpenOptions,
): Promise<OpenObject> {
  const stated = fieldsArgument<OpenOptions>(fieldNames.open.options, options);
  const checked = checkedOptions(stated);
  const { prefetchBytes = 0 } = stated;
  const prefetch = integerArgument("options.prefetchBytes", prefetchBytes, 0, maxPrefetchBytes);
  const given = fieldsArgument<OpenInput>(fieldNames.open.input, input) as OpenInput;
  const target = targetArgument("GetObject", given);
  const { encryptionContext, ...get } = given;
  const expected = expectedContextArgument(encryptionContext);
  return withCall({ ...target, operation: "open" }, checked, async ({ signal }) => {
    const request = { config, get, target, signal, expected };
    const object = await openEncryptedObject(nativeFormats(config), request, {
      Range: `bytes=-${tailBytes}`,
      tailBytes,
    });
    return openObject(config, object, prefetch);
  });
}
