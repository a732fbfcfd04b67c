/** Opens one object for many small reads: its key is unwrapped once, and every read is one ranged GET or none. */
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { integerArgument } from "../../base/arguments.js";
import { sealedBytes } from "../../cobblestone/layout.js";
import { withoutEnvelope } from "../../envelope/user-metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { targetArgument } from "../../s3/fields.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { abortSignalArgument, transferSignal } from "../../transfer/call-signal.js";
import type { ClientConfig } from "../encrypted/config.js";
import { fetchObject, seenIn, unlockObject } from "../encrypted/object-request.js";
import {
  type ExpectedContext,
  expectedContextArgument,
  notEncrypted,
  storedEnvelope,
} from "../encrypted/read-envelope.js";
import { readTail, tailError, verifyTail } from "../encrypted/tail.js";
import { type OpenObject, type OpenObjectFields, objectReader } from "./object-reader.js";

export type { OpenObject } from "./object-reader.js";

type RefusedField = "PartNumber" | "Range" | `Response${string}`;

/** What `open` takes: the input of GetObject but for parts, ranges and overrides of headers, and this. */
export interface OpenInput extends Omit<GetObjectCommandInput, RefusedField> {
  /** As for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
}

/** Options of `open`. The signal ends the opening; the object is closed by `close()`. */
export interface OpenOptions extends CallOptions {
  /**
   * When reads follow each other, each beginning where the one before it ended, so many bytes beyond them are fetched
   * in advance, in two requests; 0 by default, for none, to 64 MiB. Rounded down to pairs of chunks, 32 KiB at least.
   */
  readonly prefetchBytes?: number | undefined;
}

/** The most bytes that may be fetched ahead. */
const maxPrefetchBytes = 64 * 1024 * 1024;
/** Of the last bytes of an object so many are fetched first: the last chunk, and a whole one before it. */
const openingBytes = sealedBytes(2);

/** See `EnvelopeClient.open`. */
export async function open(
  config: ClientConfig,
  input: OpenInput,
  options: OpenOptions,
): Promise<OpenObject> {
  const stated = fieldsArgument<OpenOptions>(fieldNames.open.options, options);
  const caller = abortSignalArgument(stated);
  const { prefetchBytes = 0 } = stated;
  const ahead = integerArgument("options.prefetchBytes", prefetchBytes, 0, maxPrefetchBytes);
  const given = fieldsArgument<OpenInput>(fieldNames.open.input, input) as OpenInput;
  const target = targetArgument("GetObject", given);
  const { encryptionContext: context, ...get } = given;
  const expected = expectedContextArgument(context);
  const transfer = transferSignal(caller);
  const opening = async () => {
    const request = { get, target: target, expected, transfer };
    const first = await fetchObject(config, request, { ...get, Range: `bytes=-${openingBytes}` }).catch(
      (error: unknown) => {
        throw tailError(error);
      },
    );
    const stored = storedEnvelope(config, first.output.Metadata);
    if (!stored) throw notEncrypted(target.key);
    const tail = await readTail(first, openingBytes, target);
    const { keys, encryptionContext } = await unlockObject(config, request, first, stored);
    verifyTail(tail, keys);
    const fields = { ...fieldsOf(first.output), encryptionContext };
    const seen = seenIn(first);
    return objectReader({
      config: config,
      get,
      target: target,
      tail,
      keys,
      fields,
      seen,
      prefetchBytes: ahead,
    });
  };
  try {
    return await aboutObject({ bucket: target.bucket, key: target.key }, transfer, opening);
  } finally {
    transfer.close();
  }
}

function fieldsOf(output: GetObjectCommandOutput): OpenObjectFields {
  const { ETag, VersionId, LastModified, ContentType, Metadata = {} } = output;
  return { ETag, VersionId, LastModified, ContentType, Metadata: withoutEnvelope(Metadata) };
}
