/** A reader of V2 and V3 objects of its own, on node:crypto alone, and keys to write them under. */
import {
  constants,
  createDecipheriv,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
} from "node:crypto";
import { DecryptCommand, type KMSClient } from "@aws-sdk/client-kms";
import { expect } from "vitest";
import { testBytes } from "./bytes.js";

/** The key to read an object with. */
export type ReadingKey =
  | { readonly kms: KMSClient; readonly keyId: string }
  | { readonly aes: Buffer }
  | { readonly rsa: KeyObject };

/** An object as S3 has it. */
export interface S3ecObject {
  readonly bytes: Buffer;
  readonly metadata: Record<string, string>;
  /** The text of its instruction file. */
  readonly instructions?: string | undefined;
}

/** An AES key and an RSA key pair, and others that they are rotated to. */
export const s3ecKeys = {
  aes: testBytes(32, 501),
  otherAes: testBytes(32, 502),
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  otherRsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};

/** Reads an object by its metadata and its instruction file. Throws unless all fields are correct. */
export async function readS3ec(
  { bytes, metadata, instructions }: S3ecObject,
  key: ReadingKey,
): Promise<Buffer> {
  const fields = { ...metadata, ...(instructions && (JSON.parse(instructions) as Record<string, string>)) };
  const base64 = (name: string) => Buffer.from(fields[name] ?? "", "base64");
  if (fields["x-amz-c"] === "115") {
    const [wrap, contextName] = [fields["x-amz-w"], fields["x-amz-w"] === "12" ? "x-amz-t" : "x-amz-m"];
    const names = { "02": "AES/GCM", "12": "kms+context", "22": "RSA-OAEP-SHA1" } as Record<string, string>;
    const context = JSON.parse(fields[contextName] ?? "{}") as Record<string, string>;
    const dataKey = await unwrap(names[wrap ?? ""], base64("x-amz-3"), "115", context, key);
    const pseudoRandom = createHmac("sha512", base64("x-amz-i")).update(dataKey).digest();
    const expand = (label: string, length: number) =>
      createHmac("sha512", pseudoRandom)
        .update(`\0s${label}`)
        .update(Buffer.of(1))
        .digest()
        .subarray(0, length);
    expect(base64("x-amz-d")).toEqual(expand("COMMITKEY", 28));
    return open(bytes, expand("DERIVEKEY", 32), Buffer.alloc(12, 1), Buffer.of(0, 0x73));
  }
  expect(fields).toMatchObject({ "x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-tag-len": "128" });
  const context = JSON.parse(fields["x-amz-matdesc"] ?? "") as Record<string, string>;
  const name = "AES/GCM/NoPadding";
  const dataKey = await unwrap(fields["x-amz-wrap-alg"], base64("x-amz-key-v2"), name, context, key);
  return open(bytes, dataKey, base64("x-amz-iv"));
}

async function unwrap(
  wrap: string | undefined,
  wrapped: Buffer,
  contentName: string,
  EncryptionContext: Record<string, string>,
  key: ReadingKey,
): Promise<Buffer> {
  if (wrap === "kms+context" && "kms" in key) {
    expect(EncryptionContext["aws:x-amz-cek-alg"]).toBe(contentName);
    const input = { KeyId: key.keyId, CiphertextBlob: wrapped, EncryptionContext };
    const { Plaintext = [] } = await key.kms.send(new DecryptCommand(input));
    return Buffer.from(Plaintext);
  }
  if (wrap === "AES/GCM" && "aes" in key) {
    expect(wrapped).toHaveLength(60);
    return open(wrapped.subarray(12), key.aes, wrapped.subarray(0, 12), Buffer.from(contentName));
  }
  if (wrap === "RSA-OAEP-SHA1" && "rsa" in key) {
    const opened = privateDecrypt(
      { key: key.rsa, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" },
      wrapped,
    );
    expect(opened.subarray(33).toString()).toBe(contentName);
    expect(opened[0]).toBe(32);
    return opened.subarray(1, 33);
  }
  throw new Error(`no key for the wrap ${wrap}`);
}

function open(sealed: Buffer, key: Buffer, iv: Buffer, aad = Buffer.alloc(0)): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: 16 });
  decipher.setAAD(aad).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}
