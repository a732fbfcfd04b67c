/** Envelopes in the form that clients write, and keyrings that bind what real keyrings bind and record their calls. */

import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { decryptionFailed } from "../../src/base/errors.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "../../src/s3ec/keyrings/keyring.js";
import type { LegacyPolicy } from "../../src/s3ec/policy.js";
import { type KeyType, type WrapAlgorithm, wraps } from "../../src/s3ec/suites.js";
import { testBytes } from "../support/bytes.js";

export type Metadata = Record<string, string>;

export const dataKey = testBytes(32, 1);
export const messageId = testBytes(28, 2);
const gcmIv = testBytes(12, 3);
const cbcIv = testBytes(16, 4);
const kek = testBytes(32, 5);

/** The commitment to {@link dataKey} by the formula of the format, written down a second time. */
export const commitment = Buffer.from(hkdfSync("sha512", dataKey, messageId, "\0sCOMMITKEY", 28));

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** All that real wraps bind to a data key: KMS binds the whole context and not the wrap; old raw wraps bind nothing. */
function boundTo(wrap: WrapAlgorithm, contentName: string, description: Metadata): string {
  if (wrap.keyType === "kms") return JSON.stringify(Object.entries(description).sort());
  return wrap.isLegacy ? wrap.name : `${wrap.name} ${contentName}`;
}

/** A data key wrapped by {@link recordingKeyring}. */
export function wrapped(
  wrap: WrapAlgorithm,
  contentName: string,
  description: Metadata,
  key = dataKey,
): Buffer {
  const cipher = createCipheriv("aes-256-gcm", kek, Buffer.alloc(12));
  cipher.setAAD(Buffer.from(boundTo(wrap, contentName, description)));
  const padding = Buffer.alloc(wrap.keyType === "rsa" ? rsaPadding : 0);
  return Buffer.concat([padding, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
}

/** Pads to the length of the output of RSA. */
const rsaPadding = 208;

/** A keyring of one key type that records its inputs and its results. */
export interface RecordingKeyring extends LegacyKeyring {
  readonly asked: LegacyUnwrapInput[];
  readonly given: Buffer[];
}

export function recordingKeyring(keyType: KeyType): RecordingKeyring {
  const asked: LegacyUnwrapInput[] = [];
  const given: Buffer[] = [];
  return {
    keyType,
    asked,
    given,
    generateDataKey: () => Promise.reject(new Error("not asked for here")),
    async unwrapDataKey(input) {
      asked.push(input);
      const { wrap, contentName, description } = input;
      const wrappedKey = input.wrappedKey.subarray(wrap.keyType === "rsa" ? rsaPadding : 0);
      const padding = input.wrappedKey.subarray(0, -wrappedKey.length);
      if (wrappedKey.length < 16 || padding.some((byte) => byte !== 0)) throw decryptionFailed();
      const decipher = createDecipheriv("aes-256-gcm", kek, Buffer.alloc(12));
      decipher.setAAD(Buffer.from(boundTo(wrap, contentName, description)));
      decipher.setAuthTag(wrappedKey.subarray(-16));
      const plaintext = decipher.update(wrappedKey.subarray(0, -16));
      try {
        decipher.final();
      } catch {
        throw decryptionFailed();
      }
      given.push(plaintext);
      return plaintext;
    },
  };
}

export const everyKeyring = () => (["kms", "aes", "rsa"] as const).map(recordingKeyring);

/** Allows everything. */
export const lax: LegacyPolicy = {
  commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
  enableLegacyUnauthenticatedModes: true,
  enableLegacyWrappingAlgorithms: true,
};
/** The policy of a reader without options. */
export const strict: LegacyPolicy = {
  commitmentPolicy: "REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
  enableLegacyUnauthenticatedModes: false,
  enableLegacyWrappingAlgorithms: false,
};

/** V1 of AES or RSA. */
export function v1(wrap: WrapAlgorithm = wraps.aesEcb, description: Metadata = {}): Metadata {
  return {
    "x-amz-key": base64(wrapped(wrap, "", description)),
    "x-amz-iv": base64(cbcIv),
    "x-amz-matdesc": JSON.stringify(description),
  };
}

/** V2, with AES/GCM by default. With `kms+context` the description has the entry that this wrap adds. */
export function v2(
  wrap: WrapAlgorithm,
  user: Metadata = {},
  content: "AES/GCM/NoPadding" | "AES/CBC/PKCS5Padding" | "AES/CBC/PKCS7Padding" = "AES/GCM/NoPadding",
): Metadata {
  const description = described(wrap, user, content);
  const isGcm = content === "AES/GCM/NoPadding";
  return {
    "x-amz-key-v2": base64(wrapped(wrap, content, description)),
    "x-amz-iv": base64(isGcm ? gcmIv : cbcIv),
    "x-amz-matdesc": JSON.stringify(description),
    "x-amz-wrap-alg": wrap.name,
    "x-amz-cek-alg": content,
    ...(isGcm ? { "x-amz-tag-len": "128" } : {}),
  };
}

/** V3, all in metadata. */
export function v3(wrap: WrapAlgorithm, user: Metadata = {}): Metadata {
  const description = described(wrap, user, "115");
  return {
    "x-amz-c": "115",
    "x-amz-d": base64(commitment),
    "x-amz-i": base64(messageId),
    "x-amz-w": wrap.code ?? "",
    "x-amz-3": base64(wrapped(wrap, "115", description)),
    [wrap.keyType === "kms" ? "x-amz-t" : "x-amz-m"]: JSON.stringify(description),
  };
}

function described(wrap: WrapAlgorithm, user: Metadata, content: string): Metadata {
  if (wrap === wraps.kms) return { kms_cmk_id: "key-1", ...user };
  return wrap === wraps.kmsContext ? { ...user, "aws:x-amz-cek-alg": content } : user;
}

/** V3 with an instruction file: the fields of the object, and those of the file. */
export function splitV3(metadata: Metadata): { onObject: Metadata; file: Metadata } {
  const isOnObject = ([name]: [string, string]) => ["x-amz-c", "x-amz-d", "x-amz-i"].includes(name);
  const entries = Object.entries(metadata);
  return {
    onObject: Object.fromEntries(entries.filter(isOnObject)),
    file: Object.fromEntries(entries.filter((entry) => !isOnObject(entry))),
  };
}

/** A copy without some names. */
export function without(metadata: Metadata, ...names: string[]): Metadata {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !names.includes(name)));
}

/** The body of an instruction file. */
export const fileOf = (fields: unknown): Buffer => Buffer.from(JSON.stringify(fields));
