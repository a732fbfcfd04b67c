/** Opens an encrypted object: requests it, finds its envelope, unwraps its key and pins later requests to its state. */
import { hasCode } from "../../base/errors.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { FoundObject, ObjectFormat, ObjectLookup, ReadRequest } from "./format.js";
import { fetchObject, pinObject } from "./pinned-object.js";

/** The first request about an object. */
export interface FirstRequest {
  /** In bytes of ciphertext. */
  readonly Range: string | undefined;
  /** Set when `Range` asks for this many bytes from the end of the object, which prove its length. */
  readonly tailBytes?: number | undefined;
  /** See {@link fetchObject}. */
  readonly yieldsConnection?: boolean;
  /** Called when S3 has no such range: throws, or requests the object otherwise, for its metadata alone. */
  readonly onUnsatisfiable: (error: unknown) => Promise<ObjectResponse>;
}

/**
 * Opens an object of one of these formats, whichever finds an envelope first.
 *
 * @throws EnvelopeError those of S3, of the formats and of the keyring
 */
export async function openEncryptedObject<Unlocked>(
  formats: readonly ObjectFormat<Unlocked>[],
  request: ReadRequest,
  { Range, tailBytes, yieldsConnection, onUnsatisfiable }: FirstRequest,
): Promise<Unlocked> {
  let isUsable = true;
  const response = await fetchObject(request, Range, yieldsConnection).catch((error: unknown) => {
    if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE")) throw error;
    isUsable = false;
    return onUnsatisfiable(error);
  });
  const close = () => {
    isUsable = false;
    response.close();
  };
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

/** Finds the format of an object. The last format must find every object, or refuse it. */
export async function findFormat<Unlocked>(
  formats: readonly ObjectFormat<Unlocked>[],
  object: ObjectLookup,
): Promise<FoundObject<Unlocked>> {
  for (const format of formats) {
    const found = await format.find(object);
    if (found) return found;
  }
  throw new TypeError("formats: expected a last format that takes every object");
}
