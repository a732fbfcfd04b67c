/** Objects as Amazon's S3 Encryption Clients write them, made here with node:crypto alone, so that no code is tested by itself. */
import {
  constants,
  createCipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  publicEncrypt,
} from "node:crypto";
import { EncryptCommand, type KMSClient } from "@aws-sdk/client-kms";
import { asciiJsonString } from "../../src/base/bytes.js";
import type { LegacyReadingOptions } from "../../src/legacy.js";
import { testBytes } from "./bytes.js";

/** How an object is written. */
export interface LegacyShape {
  readonly format: "V1" | "V2" | "V3";
  readonly content: "cbc" | "gcm" | "115";
  readonly wrap:
    | "AES"
    | "RSA"
    | "kms"
    | "kms+context"
    | "AESWrap"
    | "AES/GCM"
    | "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
    | "RSA-OAEP-SHA1";
}

const gcmWraps = [
  "kms",
  "kms+context",
  "AESWrap",
  "AES/GCM",
  "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
  "RSA-OAEP-SHA1",
] as const;

/** Every combination of format, content and wrap that a client has written. */
export const shapes: readonly LegacyShape[] = [
  { format: "V1", content: "cbc", wrap: "AES" },
  { format: "V1", content: "cbc", wrap: "RSA" },
  { format: "V2", content: "cbc", wrap: "kms" },
  { format: "V2", content: "cbc", wrap: "AESWrap" },
  { format: "V2", content: "cbc", wrap: "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" },
  ...gcmWraps.map((wrap) => ({ format: "V2", content: "gcm", wrap }) as const),
  { format: "V3", content: "115", wrap: "kms+context" },
  { format: "V3", content: "115", wrap: "AES/GCM" },
  { format: "V3", content: "115", wrap: "RSA-OAEP-SHA1" },
];

/** For each content algorithm, one shape that needs no service. */
export const localShapes = {
  cbc: { format: "V1", content: "cbc", wrap: "AES" },
  gcm: { format: "V2", content: "gcm", wrap: "AES/GCM" },
  "115": { format: "V3", content: "115", wrap: "AES/GCM" },
} as const satisfies Record<string, LegacyShape>;

/** Options that allow everything that reading refuses by default. */
export const allowAll = {
  commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT",
  enableLegacyUnauthenticatedModes: true,
  enableLegacyWrappingAlgorithms: true,
} as const satisfies Partial<LegacyReadingOptions>;

/** The AES key of all objects. */
export const kek = testBytes(32, 4_242);
const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
/** The RSA key of all objects. */
export const rsaPrivateKey = createPrivateKey(pair.privateKey.export({ type: "pkcs8", format: "pem" }));
const rsaPublicKey = createPublicKey(rsaPrivateKey);

/** An object as it is stored. */
export interface LegacyFiles {
  readonly body: Buffer;
  readonly metadata: Record<string, string>;
  /** Absent when the envelope is in the metadata. */
  readonly instructionFile?: string;
}

/** The options of {@link writeLegacy}. */
export interface WriteOptions {
  readonly storage?: "metadata" | "instruction-file";
  readonly context?: Record<string, string>;
  readonly kms?: { readonly client: KMSClient; readonly keyId: string };
  readonly dataKeyBytes?: 16 | 24 | 32;
  readonly aad?: Uint8Array;
  readonly seed?: number;
}

const dataKeyOf = (bytes: number, seed: number) => testBytes(bytes, 9_000 + seed);
const contentNames = { cbc: "AES/CBC/PKCS5Padding", gcm: "AES/GCM/NoPadding", "115": "115" } as const;
const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** Encrypts bytes in the given shape. */
export async function writeLegacy(
  plaintext: Uint8Array,
  shape: LegacyShape,
  options: WriteOptions = {},
): Promise<LegacyFiles> {
  const { storage = "metadata", dataKeyBytes = 32, seed = 0, context = {} } = options;
  const { format, content } = shape;
  const dataKey = dataKeyOf(dataKeyBytes, seed);
  const iv = testBytes({ cbc: 16, gcm: 12, "115": 28 }[content], 77 + seed);
  const { body, commitment } = sealBody(plaintext, content, dataKey, iv, options.aad);
  const { wrappedKey, description } = await wrapKey(dataKey, shape, context, options);
  const pairs = Object.entries(description).map(([name, text]) =>
    [name, text].map(asciiJsonString).join(":"),
  );
  const json = `{${pairs.join(",")}}`;
  if (format === "V3") {
    const own = { "x-amz-c": "115", "x-amz-d": b64(commitment), "x-amz-i": b64(iv) };
    const code = { "kms+context": "12", "AES/GCM": "02", "RSA-OAEP-SHA1": "22" }[shape.wrap as "AES/GCM"];
    const descriptionName = code === "12" ? "x-amz-t" : "x-amz-m";
    const wrapping = { "x-amz-3": b64(wrappedKey), "x-amz-w": code, [descriptionName]: json };
    if (storage === "metadata") return { body, metadata: { ...own, ...wrapping } };
    return { body, metadata: own, instructionFile: JSON.stringify(wrapping) };
  }
  const envelope: Record<string, string> =
    format === "V1"
      ? { "x-amz-key": b64(wrappedKey), "x-amz-iv": b64(iv), "x-amz-matdesc": json }
      : {
          "x-amz-key-v2": b64(wrappedKey),
          "x-amz-iv": b64(iv),
          "x-amz-matdesc": json,
          "x-amz-wrap-alg": shape.wrap,
          "x-amz-cek-alg": contentNames[content],
          ...(content === "gcm" && { "x-amz-tag-len": "128" }),
        };
  const informative = { "x-amz-unencrypted-content-length": "1" };
  if (storage === "metadata") return { body, metadata: { ...envelope, ...informative } };
  return { body, metadata: informative, instructionFile: JSON.stringify(envelope) };
}

/** The instruction file of an object of V1, as the oldest .NET clients write it. */
export function oldNetFile(instructionFile: string): string {
  const fields = JSON.parse(instructionFile) as Record<string, string>;
  return JSON.stringify({ EncryptedEnvelopeKey: fields["x-amz-key"], IV: fields["x-amz-iv"] });
}

function sealBody(
  plaintext: Uint8Array,
  content: LegacyShape["content"],
  dataKey: Buffer,
  iv: Buffer,
  aad: Uint8Array | undefined,
): { body: Buffer; commitment: Buffer } {
  const none = Buffer.alloc(0);
  const bits = dataKey.length * 8;
  if (content === "cbc") {
    const cipher = createCipheriv(`aes-${bits}-cbc`, dataKey, iv);
    return { body: Buffer.concat([cipher.update(plaintext), cipher.final()]), commitment: none };
  }
  const committed = content === "115";
  const derive = (label: string, length: number) =>
    Buffer.from(hkdfSync("sha512", dataKey, iv, Buffer.from(`\0\x73${label}`, "latin1"), length));
  const key = committed ? derive("DERIVEKEY", 32) : dataKey;
  const nonce = committed ? Buffer.alloc(12, 1) : iv;
  const cipher = createCipheriv(`aes-${key.length * 8}-gcm` as "aes-256-gcm", key, nonce);
  const bound = committed ? Buffer.of(0, 0x73) : aad;
  if (bound) cipher.setAAD(bound);
  const body = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return { body, commitment: committed ? derive("COMMITKEY", 28) : none };
}

async function wrapKey(
  dataKey: Buffer,
  { wrap, content }: LegacyShape,
  context: Record<string, string>,
  { kms }: WriteOptions,
): Promise<{ wrappedKey: Uint8Array; description: Record<string, string> }> {
  const name = contentNames[content];
  if (wrap === "kms" || wrap === "kms+context") {
    if (!kms) throw new Error("this shape takes a KMS");
    const own: Record<string, string> =
      wrap === "kms" ? { kms_cmk_id: kms.keyId } : { "aws:x-amz-cek-alg": name };
    const description = { ...context, ...own };
    const { CiphertextBlob } = await kms.client.send(
      new EncryptCommand({ KeyId: kms.keyId, Plaintext: dataKey, EncryptionContext: description }),
    );
    return { wrappedKey: CiphertextBlob ?? Buffer.alloc(0), description };
  }
  return { wrappedKey: wrapLocally(dataKey, wrap, name), description: context };
}

function wrapLocally(dataKey: Buffer, wrap: LegacyShape["wrap"], name: string): Buffer {
  switch (wrap) {
    case "AES": {
      const cipher = createCipheriv("aes-256-ecb", kek, null);
      return Buffer.concat([cipher.update(dataKey), cipher.final()]);
    }
    case "AESWrap": {
      const cipher = createCipheriv("id-aes256-wrap", kek, Buffer.alloc(8, 0xa6));
      return Buffer.concat([cipher.update(dataKey), cipher.final()]);
    }
    case "AES/GCM": {
      const nonce = testBytes(12, 5);
      const cipher = createCipheriv("aes-256-gcm", kek, nonce).setAAD(Buffer.from(name));
      return Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
    }
    case "RSA":
      return publicEncrypt({ key: rsaPublicKey, padding: constants.RSA_PKCS1_PADDING }, dataKey);
    case "RSA-OAEP-SHA1": {
      const bound = Buffer.concat([Buffer.of(dataKey.length), dataKey, Buffer.from(name)]);
      return publicEncrypt({ key: rsaPublicKey, oaepHash: "sha1" }, bound);
    }
    default:
      return publicEncrypt(
        { key: rsaPublicKey, padding: constants.RSA_NO_PADDING },
        oaep(dataKey, 256, "sha256", "sha1"),
      );
  }
}

/** OAEP of RFC 8017, section 7.1.1, with two hash functions. OpenSSL uses the same one for both. */
function oaep(message: Buffer, modulusBytes: number, hash: string, mgfHash: string): Buffer {
  const labelHash = createHash(hash).digest();
  const padding = Buffer.alloc(modulusBytes - message.length - 2 * labelHash.length - 2);
  const data = Buffer.concat([labelHash, padding, Buffer.of(1), message]);
  const seed = testBytes(labelHash.length, 6);
  const maskedData = xor(data, mgf1(seed, data.length, mgfHash));
  return Buffer.concat([Buffer.of(0), xor(seed, mgf1(maskedData, seed.length, mgfHash)), maskedData]);
}

function mgf1(seed: Buffer, length: number, hash: string): Buffer {
  const blocks: Buffer[] = [];
  for (let count = 0; Buffer.concat(blocks).length < length; count++) {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(count);
    blocks.push(createHash(hash).update(seed).update(counter).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ (right[index] ?? 0)));
}
