/** Who can write what, with which settings, and who reads it: a writer or a reader more is a line more here. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { ClientConfig, KeyMaterial } from "./protocol.js";

type Settings = Omit<ClientConfig, "keyMaterial">;

/** The keys that the matrix works with. */
export type KeyName = "kms" | "aes128" | "aes192" | "aes256" | "rsa2048";
/** Where the envelope is. */
export type Storage = "metadata" | "instruction";

/** One way of writing, and what it makes. */
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

/** One way of reading. */
export interface Reading {
  /** Unique. */
  readonly name: string;
  /** The name of the peer. */
  readonly reader: string;
  readonly settings: Settings;
  /** It is told no encryption context. */
  readonly statesNone?: true;
  /** Whether it opens what was so written; it refuses all else. */
  reads(writing: Writing): boolean;
  /** Whether it takes what was so written for no encrypted object, and hands out the ciphertext without a word. */
  passesOn?(writing: Writing): boolean;
}

const gcm = "AES/GCM/NoPadding";
const cbc = "AES/CBC/PKCS5Padding";
const oaep256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
const storages: readonly Storage[] = ["metadata", "instruction"];
const legacyWraps = ["kms", "AES", "AESWrap", "RSA", oaep256];
/** In metadata, versions 3 and 4 escape what is beyond U+FFFF and nothing else; SDK 1 escapes nothing. */
const contexts = {
  ascii: { tenant: "42", purpose: "a b" },
  escaped: { tenant: "42", mood: "🙂" },
  full: { tenant: "42", clé: "värde", 名前: "Ωμέγα 🙂" },
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
  ...modernWritings("s3-envelope", "V3", {}),
  ...modernWritings("s3-envelope", "V2", withoutCommitment),
];

const allLegacy: Settings = { enableLegacyUnauthenticatedModes: true, enableLegacyWrappingAlgorithms: true };
const isModern = ({ content, wrap }: Writing) => content !== cbc && !legacyWraps.includes(wrap);
const isBouncyCastle = ({ name }: Writing) => name.includes("-bc-");
/** Versions 3 and 4 undo S3's encoding of metadata in instruction files, too, where nobody did it. */
const isGarbled = ({ key, storage, context }: Writing) =>
  key === "kms" && storage === "instruction" && context === contexts.full;
/** The client for Go sends UTF-8 in metadata, which S3 tells in encoded words. */
const isEncoded = ({ storage, context }: Writing) => storage === "metadata" && context === contexts.full;

/** All ways of reading. */
export const readings: readonly Reading[] = [
  {
    name: "java-v4-legacy",
    reader: "java-v4",
    settings: { ...allLegacy, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" },
    reads: (writing) => !isBouncyCastle(writing) && !isGarbled(writing),
  },
  {
    name: "java-v4-default",
    reader: "java-v4",
    settings: {},
    reads: ({ format }) => format === "V3",
  },
  {
    name: "java-v3-legacy",
    reader: "java-v3",
    settings: allLegacy,
    reads: (writing) => writing.format !== "V3" && !isBouncyCastle(writing) && !isGarbled(writing),
  },
  {
    name: "java-v3-default",
    reader: "java-v3",
    settings: {},
    reads: (writing) => writing.format !== "V3" && isModern(writing) && !isGarbled(writing),
  },
  {
    name: "java-sdk1-v2",
    reader: "java-sdk1",
    settings: { peer: { client: "v2", cryptoMode: "AuthenticatedEncryption" } },
    reads: (writing) => writing.format !== "V3" && !isBouncyCastle(writing) && !isEncoded(writing),
  },
  {
    name: "java-sdk1-v2-strict",
    reader: "java-sdk1",
    settings: { peer: { client: "v2", cryptoMode: "StrictAuthenticatedEncryption" } },
    reads: (writing) => writing.format !== "V3" && isModern(writing) && !isEncoded(writing),
  },
  {
    name: "java-sdk1-v1",
    reader: "java-sdk1",
    settings: { peer: { client: "v1", cryptoMode: "AuthenticatedEncryption" } },
    reads: (writing) => writing.format !== "V3" && !isBouncyCastle(writing) && !isEncoded(writing),
    passesOn: ({ format, storage }) => format === "V3" && storage === "metadata",
  },
  {
    name: "python-v4-legacy",
    reader: "python-v4",
    settings: { ...allLegacy, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" },
    // With the wrap "kms" it takes no context at all.
    reads: ({ key, wrap, context }) => key === "kms" && wrap !== "kms" && context === contexts.ascii,
  },
  {
    name: "python-v4-legacy-no-context",
    reader: "python-v4",
    settings: { ...allLegacy, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" },
    statesNone: true,
    reads: ({ wrap }) => wrap === "kms",
  },
  {
    name: "python-v4-default",
    reader: "python-v4",
    settings: {},
    reads: ({ key, format, context }) => key === "kms" && format === "V3" && context === contexts.ascii,
  },
  {
    name: "go-v3-legacy",
    reader: "go-v3",
    settings: allLegacy,
    reads: (writing) => writing.key === "kms" && !isGarbled(writing),
  },
  {
    name: "go-v3-default",
    reader: "go-v3",
    settings: {},
    reads: (writing) => writing.key === "kms" && isModern(writing) && !isGarbled(writing),
  },
  {
    name: "s3-envelope-legacy",
    reader: "s3-envelope",
    settings: { ...allLegacy, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" },
    reads: () => true,
  },
  {
    name: "s3-envelope-default",
    reader: "s3-envelope",
    settings: {},
    reads: ({ format }) => format === "V3",
  },
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

/** What a client to read this way what was written that way is made with. */
export function readerConfig(
  reading: Reading,
  writing: Writing,
  keys: Readonly<Record<KeyName, KeyMaterial>>,
): ClientConfig {
  return { ...reading.settings, keyMaterial: writerConfig(writing, keys).keyMaterial };
}

/** The encryption context of a put, or of a get that states it. */
export function contextOf({ key, context }: Writing, reading?: Reading): Readonly<Record<string, string>> {
  return key === "kms" && !reading?.statesNone ? context : {};
}
