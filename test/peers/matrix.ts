/** The matrix of writers and their settings. A new writer is a new line here. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { ClientConfig, KeyMaterial } from "./protocol.js";

/** Of a client, but for its keys. */
export type Settings = Omit<ClientConfig, "keyMaterial">;

/** The keys of the matrix. */
export type KeyName = "kms" | "aes128" | "aes192" | "aes256" | "rsa2048";
/** Where the envelope is. */
export type Storage = "metadata" | "instruction";

/** One way of writing, and the format that it produces. */
export interface Writing {
  /** Unique. */
  readonly name: string;
  /** The name of the peer. */
  readonly writer: string;
  readonly settings: Settings;
  readonly key: KeyName;
  readonly storage: Storage;
  readonly format: "V1" | "V2" | "V3";
  /** As V2 names it, also where V1 leaves it out; the suite in V3. */
  readonly content: "AES/CBC/PKCS5Padding" | "AES/GCM/NoPadding" | "115";
  /** As V2 or V3 name it; "AES" and "RSA" in V1, which does not. */
  readonly wrap: string;
  /** The encryption context under KMS, else the description of the material. */
  readonly context: Readonly<Record<string, string>>;
}

/** Contents by their names in V2. */
export const gcm = "AES/GCM/NoPadding";
export const cbc = "AES/CBC/PKCS5Padding";
const oaep256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
const storages: readonly Storage[] = ["metadata", "instruction"];
/** In metadata, versions 3 and 4 escape what is beyond U+FFFF and nothing else; SDK 1 escapes nothing. */
export const contexts = {
  ascii: { tenant: "42", purpose: "a b" },
  escaped: { tenant: "42", mood: "🙂" },
  full: { tenant: "42", clé: "värde", 名前: "Ωμέγα 🙂" },
  /** Only in this library's objects, which are ASCII whatever the context: everywhere, and read by all but Python. */
  ours: { clé: "värde", 名前: "Ωμέγα 🙂", "a<b>": '"\u2028\\ ÿ' },
} as const;

type Row = readonly [key: KeyName, wrap: string];

const aesKeys = ["aes128", "aes192", "aes256"] as const;
const aesRows = (wrap: string) => aesKeys.map((key): Row => [key, wrap]);
const v2Rows: readonly Row[] = [["kms", "kms+context"], ...aesRows("AES/GCM"), ["rsa2048", "RSA-OAEP-SHA1"]];
const v3Rows: readonly Row[] = [["kms", "12"], ...aesRows("02"), ["rsa2048", "22"]];

/** The S3 Encryption Client of versions 3 and later: also what a server of this project's own writes. */
export function modernWritings(
  writer: string,
  format: "V2" | "V3",
  settings: Settings,
  only: (key: KeyName, storage: Storage) => boolean = () => true,
): Writing[] {
  return storages.flatMap((storage) =>
    (format === "V2" ? v2Rows : v3Rows)
      .filter(([key]) => only(key, storage))
      .map(([key, wrap]) => ({
        name: `${writer}-${format}-${key}-${storage}`.toLowerCase(),
        writer,
        settings: {
          ...settings,
          ...(storage === "instruction" && {
            instructionFileConfig: { enableInstructionFilePutObject: true },
          }),
        },
        key,
        storage,
        format,
        content: format === "V2" ? gcm : "115",
        wrap,
        context: storage === "metadata" || key === "kms" ? contexts.escaped : contexts.full,
      })),
  );
}

function sdk1Writings(
  name: string,
  peer: Readonly<Record<string, string>>,
  content: typeof gcm | typeof cbc,
  rows: readonly Row[],
): Writing[] {
  return storages.flatMap((storage) =>
    rows.map(([key, wrap]) => ({
      name: `java-sdk1-${name}-${key}-${storage}`,
      writer: "java-sdk1",
      settings: {
        peer: { ...peer, storage: storage === "metadata" ? "ObjectMetadata" : "InstructionFile" },
      },
      key,
      storage,
      format: wrap === "AES" || wrap === "RSA" ? "V1" : "V2",
      content,
      wrap,
      context: storage === "metadata" ? contexts.ascii : contexts.full,
    })),
  );
}

const encryptionOnly: readonly Row[] = [["kms", "kms"], ...aesRows("AES"), ["rsa2048", "RSA"]];
const authenticated: readonly Row[] = [["kms", "kms"], ...aesRows("AESWrap"), ["rsa2048", oaep256]];
const withoutCommitment: Settings = {
  commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT",
  encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
};

/** The clients for Python (which takes ASCII contexts only) and Go have KMS, and write metadata. */
function kmsWritings(
  writer: string,
  format: "V2" | "V3",
  settings: Settings,
  context: Writing["context"],
): Writing[] {
  const only = (key: KeyName, storage: Storage) => key === "kms" && storage === "metadata";
  return modernWritings(writer, format, settings, only).map((writing) => ({ ...writing, context }));
}

function ourWritings(format: "V2" | "V3", settings: Settings): Writing[] {
  return modernWritings("s3-envelope", format, settings).map((one) => ({ ...one, context: contexts.ours }));
}

/** All ways of writing. */
export const writings: readonly Writing[] = [
  ...modernWritings("java-v4", "V3", {}),
  ...modernWritings("java-v4", "V2", withoutCommitment),
  ...modernWritings("java-v3", "V2", {}),
  ...sdk1Writings("v1-cbc", { client: "v1", cryptoMode: "EncryptionOnly" }, cbc, encryptionOnly),
  ...sdk1Writings("v1-gcm", { client: "v1", cryptoMode: "AuthenticatedEncryption" }, gcm, authenticated),
  ...sdk1Writings("v1-strict", { client: "v1", cryptoMode: "StrictAuthenticatedEncryption" }, gcm, [
    ["kms", "kms"],
  ]),
  // With Bouncy Castle named as its provider, SHA-256 is OAEP's hash in MGF1, too.
  ...sdk1Writings("v1-bc", { client: "v1", cryptoMode: "AuthenticatedEncryption", provider: "BC" }, gcm, [
    ["rsa2048", oaep256],
  ]),
  ...sdk1Writings("v2", { client: "v2", cryptoMode: "StrictAuthenticatedEncryption" }, gcm, v2Rows),
  ...kmsWritings("python-v4", "V3", {}, contexts.ascii),
  ...kmsWritings("python-v4", "V2", withoutCommitment, contexts.ascii),
  ...kmsWritings("go-v3", "V2", {}, contexts.full),
  ...ourWritings("V3", {}),
  ...ourWritings("V2", withoutCommitment),
];

/** New keys for all names but KMS, whose key is there already. */
export function newKeys(kmsKeyId: string): Readonly<Record<KeyName, KeyMaterial>> {
  const aesKey = (bytes: number) => ({ aesKey: randomBytes(bytes).toString("base64") });
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const der = privateKey.export({ type: "pkcs8", format: "der" });
  return {
    kms: { kmsKeyId },
    aes128: aesKey(16),
    aes192: aesKey(24),
    aes256: aesKey(32),
    rsa2048: { rsaKey: der.toString("base64") },
  };
}

/** What a client for this way of writing is made with. */
export function writerConfig(writing: Writing, keys: Readonly<Record<KeyName, KeyMaterial>>): ClientConfig {
  const { settings, key, context } = writing;
  if (key === "kms") return { ...settings, keyMaterial: keys[key] };
  return { ...settings, keyMaterial: { ...keys[key], materialsDescription: context } };
}

/** The encryption context of a put, or of a get that states it. */
export function contextOf({ key, context }: Writing): Readonly<Record<string, string>> {
  return key === "kms" ? context : {};
}
