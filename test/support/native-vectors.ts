/**
 * The frozen vectors of the native format: their shape, and a program that makes new ones.
 * Run `npx tsx test/support/native-vectors.ts NAME LENGTH CONTEXT-JSON [sidecar]` to print one. Those that are
 * there never change: they stand for objects that users have in their buckets.
 */
import { createHash, createSecretKey, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { sealSource } from "../../src/cobblestone/stream/message.js";
import { bodyContext, wrappingContext } from "../../src/envelope/envelope.js";
import { encodeEnvelope, encodeSidecarReference } from "../../src/envelope/metadata.js";
import { encodeSidecar, sidecarKey } from "../../src/envelope/sidecar.js";
import { aesKeyring } from "../../src/keys/aes.js";
import { collect, testBytes } from "./bytes.js";

/** One vector. Byte strings are hexadecimal, except for the body, which is base64. */
export interface NativeVector {
  readonly name: string;
  /** Release that wrote it. */
  readonly writtenBy: string;
  readonly keyId: string;
  readonly wrappingKey: string;
  readonly dataKey: string;
  readonly encryptionContext: Record<string, string>;
  /** The user metadata in S3. */
  readonly metadata: Record<string, string>;
  /** The key of the object, where that of its sidecar follows from it. */
  readonly objectKey?: string;
  /** The key and the text of the sidecar object, if there is one. */
  readonly sidecarKey?: string;
  readonly sidecar?: string;
  /** The plaintext is `testBytes(length, length)`. */
  readonly plaintextLength: number;
  readonly plaintextSha256: string;
  readonly bodyLength: number;
  readonly bodySha256: string;
  /** The body itself, where it is small. */
  readonly body?: string;
}

/** The largest body, in bytes, that is part of the vector itself. */
const maxStoredBytes = 40_000;

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function makeVector(
  name: string,
  length: number,
  encryptionContext: Record<string, string>,
  sidecar: boolean,
): Promise<NativeVector> {
  const wrappingKey = randomBytes(32);
  const keyId = "native-vectors";
  const keyring = aesKeyring({ keyId, wrappingKey });
  const { plaintext: dataKey, recipients } = await keyring.generateDataKey({
    encryptionContext: wrappingContext(encryptionContext),
  });
  const keys = deriveMessageKeys(createSecretKey(dataKey), randomBytes(24), bodyContext(encryptionContext));
  const envelope = { header: keys.header, encryptionContext, recipients };
  const plaintext = testBytes(length, length);
  const body = await collect(sealSource(plaintext, keys));
  return {
    name,
    writtenBy: "s3-envelope 0.1.0",
    keyId,
    wrappingKey: wrappingKey.toString("hex"),
    dataKey: Buffer.from(dataKey).toString("hex"),
    encryptionContext,
    metadata: sidecar ? encodeSidecarReference(keys.header) : encodeEnvelope(envelope),
    ...(sidecar && {
      objectKey: `vectors/${name}`,
      sidecarKey: sidecarKey(`vectors/${name}`, keys.header),
      sidecar: encodeSidecar(envelope),
    }),
    plaintextLength: length,
    plaintextSha256: sha256(plaintext),
    bodyLength: body.length,
    bodySha256: sha256(body),
    ...(body.length <= maxStoredBytes && { body: body.toString("base64") }),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name = "", length = "0", context = "{}", storage] = process.argv.slice(2);
  const vector = await makeVector(name, Number(length), JSON.parse(context), storage === "sidecar");
  console.log(JSON.stringify(vector, null, 2));
}
