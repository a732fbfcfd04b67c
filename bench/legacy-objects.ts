/** Objects in the formats of Amazon's clients, of any size, made here with node:crypto alone. */
import { createCipheriv, randomBytes } from "node:crypto";
import type { S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { readable } from "./bytes.js";
import { bucket, partSizeBytes, partsAtOnce } from "./s3-clients.js";

/** How the content is encrypted. */
export type LegacyContent = "gcm" | "cbc";

/** The least work to decrypt an object, without a client of these formats. */
export interface LegacySecrets {
  readonly key: Buffer;
  readonly iv: Buffer;
  /** Of AES/GCM; empty otherwise. */
  readonly tag: Buffer;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** Stores an object of version 2 with AES/GCM, or of version 1 with AES/CBC, under the key that is its content's name. */
export async function putLegacy(
  s3: S3Client,
  content: LegacyContent,
  wrappingKey: Buffer,
  plaintext: Iterable<Buffer>,
): Promise<LegacySecrets> {
  const key = randomBytes(32);
  const iv = randomBytes(content === "gcm" ? 12 : 16);
  const secrets = { key, iv, tag: Buffer.alloc(content === "gcm" ? 16 : 0) };
  await new Upload({
    client: s3,
    params: {
      Bucket: bucket,
      Key: content,
      Body: readable(content === "gcm" ? sealGcm(plaintext, secrets) : sealCbc(plaintext, secrets)),
      Metadata: metadataOf(content, wrappingKey, secrets),
    },
    partSize: partSizeBytes,
    queueSize: partsAtOnce,
  }).done();
  return secrets;
}

function metadataOf(
  content: LegacyContent,
  wrappingKey: Buffer,
  { key, iv }: LegacySecrets,
): Record<string, string> {
  const shared = { "x-amz-iv": base64(iv), "x-amz-matdesc": "{}" };
  if (content === "cbc") {
    const cipher = createCipheriv("aes-256-ecb", wrappingKey, null);
    return { ...shared, "x-amz-key": base64(Buffer.concat([cipher.update(key), cipher.final()])) };
  }
  const contentName = "AES/GCM/NoPadding";
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", wrappingKey, nonce).setAAD(Buffer.from(contentName));
  const wrapped = [nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()];
  return {
    ...shared,
    "x-amz-key-v2": base64(Buffer.concat(wrapped)),
    "x-amz-wrap-alg": "AES/GCM",
    "x-amz-cek-alg": contentName,
    "x-amz-tag-len": "128",
  };
}

function* sealGcm(plaintext: Iterable<Buffer>, { key, iv, tag }: LegacySecrets): Generator<Buffer> {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  for (const piece of plaintext) yield cipher.update(piece);
  cipher.final();
  cipher.getAuthTag().copy(tag);
  yield tag;
}

function* sealCbc(plaintext: Iterable<Buffer>, { key, iv }: LegacySecrets): Generator<Buffer> {
  const cipher = createCipheriv("aes-256-cbc", key, iv);
  for (const piece of plaintext) yield cipher.update(piece);
  yield cipher.final();
}
