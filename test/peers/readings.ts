/** The matrix of readers, their settings and refusals. A new reader is a new line here. */
import {
  cbc,
  contextOf,
  contexts,
  type KeyName,
  type Settings,
  type Writing,
  writerConfig,
} from "./matrix.js";
import type { ClientConfig, KeyMaterial } from "./protocol.js";

/** One way of reading. */
export interface Reading {
  /** Unique. */
  readonly name: string;
  /** The name of the peer. */
  readonly reader: string;
  readonly settings: Settings;
  /** Whether it is given no encryption context. */
  readonly statesNone?: true;
  /** Whether it reads objects of this way of writing. It refuses all others. */
  reads(writing: Writing): boolean;
  /** The message of its refusal, if it is known. */
  says?(writing: Writing): string;
  /** Whether it takes objects of this way of writing for unencrypted ones and returns their ciphertext. */
  passesOn?(writing: Writing): boolean;
}

const allLegacy: Settings = { enableLegacyUnauthenticatedModes: true, enableLegacyWrappingAlgorithms: true };
const legacyWraps = ["kms", "AES", "AESWrap", "RSA", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"];
const isModern = ({ content, wrap }: Writing) => content !== cbc && !legacyWraps.includes(wrap);
const isBouncyCastle = ({ name }: Writing) => name.includes("-bc-");
/** Versions 3 and 4 undo S3's encoding of metadata in instruction files, too, where nobody did it. */
const isGarbled = ({ key, storage, context }: Writing) =>
  key === "kms" && storage === "instruction" && context === contexts.full;
/** The client for Go sends UTF-8 in metadata, which S3 tells in encoded words. */
const isEncoded = ({ storage, context }: Writing) => storage === "metadata" && context === contexts.full;

const allDecrypt = { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" } as const;
const enable = {
  wraps: "Enable legacy wrapping algorithms to use legacy key wrapping algorithm: ",
  contents: "Enable legacy unauthenticated modes to use legacy content decryption: ",
} as const;

/** One reader for each option that must be set, and three that read everything. */
function ourReadings(): Reading[] {
  const reader = "s3-envelope";
  const all: Settings = { ...allLegacy, ...allDecrypt };
  return [
    { name: "s3-envelope-legacy", reader, settings: all, reads: () => true },
    {
      name: "s3-envelope-unverified",
      reader,
      settings: { ...all, enableDelayedAuthenticationMode: true },
      reads: () => true,
    },
    {
      name: "s3-envelope-cbc-rewrapped",
      reader,
      settings: { ...all, peer: { cbcRewrappedByJava: "true" } },
      reads: () => true,
    },
    {
      name: "s3-envelope-default",
      reader,
      settings: {},
      reads: ({ format }) => format === "V3",
      says: ({ content }) => (content === cbc ? enable.contents + cbc : "LEGACY_REFUSED: commitmentPolicy"),
    },
    {
      name: "s3-envelope-committing",
      reader,
      settings: allLegacy,
      reads: ({ format }) => format === "V3",
      says: () => "LEGACY_REFUSED: commitmentPolicy",
    },
    {
      name: "s3-envelope-authenticated",
      reader,
      settings: { ...allDecrypt, enableLegacyWrappingAlgorithms: true },
      reads: ({ content }) => content !== cbc,
      says: ({ content }) => enable.contents + content,
    },
    {
      name: "s3-envelope-modern-wraps",
      reader,
      settings: { ...allDecrypt, enableLegacyUnauthenticatedModes: true },
      reads: ({ wrap }) => !legacyWraps.includes(wrap),
      says: ({ wrap }) => enable.wraps + wrap,
    },
  ];
}

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
  ...ourReadings(),
];

/** The options of a client that reads one way the objects of a way of writing. */
export function readerConfig(
  reading: Reading,
  writing: Writing,
  keys: Readonly<Record<KeyName, KeyMaterial>>,
): ClientConfig {
  return { ...reading.settings, keyMaterial: writerConfig(writing, keys).keyMaterial };
}

/** The encryption context that a get states. */
export function statedContext(reading: Reading, writing: Writing): Readonly<Record<string, string>> {
  return reading.statesNone ? {} : contextOf(writing);
}
