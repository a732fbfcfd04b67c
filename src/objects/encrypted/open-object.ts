/** Opens an encrypted object: requests it, finds its envelope, unwraps its key and pins later requests to its state. */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { hasCode } from "../../base/errors.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { FoundObject, ObjectDescription, ObjectFormat, ObjectLookup, ReadRequest } from "./format.js";
import { fetchObject, type ObjectRequest, pinObject } from "./pinned-object.js";
import { tailError } from "./tail.js";

/** Fetches the object, or the `Range` of it in bytes of ciphertext. */
export type Fetch = (Range: string | undefined) => Promise<ObjectResponse>;

/** The first request about an object. */
export interface FirstRequest {
  /** In bytes of ciphertext. */
  readonly Range: string | undefined;
  /** Set when `Range` asks for this many bytes from the end of the object, which prove its length. */
  readonly tailBytes?: number | undefined;
  /** See {@link fetchObject}. */
  readonly yieldsConnection?: boolean;
  /** Called when S3 has no such range: throws, or fetches the object otherwise, for its metadata alone. */
  readonly onUnsatisfiable?: (error: unknown, fetch: Fetch) => Promise<ObjectResponse>;
}

/**
 * Opens an object of one of these formats, whichever finds an envelope first.
 *
 * @throws EnvelopeError those of S3, of the formats and of the keyring
 */
export async function openEncryptedObject<Unlocked>(
  formats: readonly ObjectFormat<Unlocked>[],
  request: ReadRequest,
  { Range, tailBytes, yieldsConnection, onUnsatisfiable = throwTailError }: FirstRequest,
): Promise<Unlocked> {
  const fetch: Fetch = (range) => fetchObject(request, range, yieldsConnection);
  let isUsable = true;
  const response = await fetch(Range).catch((error: unknown) => {
    if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE")) throw error;
    isUsable = false;
    return onUnsatisfiable(error, fetch);
  });
  const close = () => {
    isUsable = false;
    response.close();
  };
  // It was fetched for its metadata, and its open body would hold a connection.
  if (!isUsable) response.close();
  const pinned = pinObject(request, response.output);
  const found = await findFormat(formats, {
    ...pinned,
    metadata: response.output.Metadata ?? {},
    instructionFileSuffix: request.instructionFileSuffix,
    refusesUnencrypted: !request.allowUnencrypted,
    closeBody: close,
  });
  return found.unlock({
    ...request,
    ...pinned,
    first: { response, tailBytes, isUsable: () => isUsable, close },
  });
}

async function throwTailError(error: unknown): Promise<never> {
  throw tailError(error);
}

/** Describes an object for `head`, from the output of its HeadObject. */
export async function describeObject(
  formats: readonly ObjectFormat[],
  request: Pick<ReadRequest, keyof ObjectRequest | "instructionFileSuffix">,
  output: HeadObjectCommandOutput,
): Promise<ObjectDescription> {
  const found = await findFormat(formats, {
    ...pinObject(request, output),
    metadata: output.Metadata ?? {},
    instructionFileSuffix: request.instructionFileSuffix,
    refusesUnencrypted: false,
    closeBody: () => undefined,
  });
  return found.describe(output);
}

/** Finds the format of an object. The last format must find every object, or refuse it. */
async function findFormat<Unlocked>(
  formats: readonly ObjectFormat<Unlocked>[],
  object: ObjectLookup,
): Promise<FoundObject<Unlocked>> {
  for (const format of formats) {
    const found = await format.find(object);
    if (found) return found;
  }
  throw new TypeError("formats: expected a last format that takes every object");
}
