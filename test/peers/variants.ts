/** Frozen objects besides the matrix: empty and unusual contexts, and rewritten instruction files. */
import { type KeyName, type Storage, type Writing, writings } from "./matrix.js";

/** One of them. */
export interface Variant {
  readonly writing: Writing;
  readonly note?: string;
  /** Whether the client that writes it cannot read it. */
  readonly unreadable?: true;
  /** Whether the instruction file is moved into the object's metadata, byte for byte. */
  readonly moved?: true;
  /** The options of its new instruction file. */
  readonly reencrypt?: {
    readonly key: KeyName;
    /** Without a dot. */
    readonly suffix?: string;
    readonly format: Writing["format"];
    readonly wrap: string;
    readonly description: Readonly<Record<string, string>>;
  };
}

const latin1 = { clé: "värde" };
const full = { tenant: "42", clé: "värde", 名前: "Ωμέγα 🙂" };
const description = { turn: "2" };

/** Those of a peer. */
export function variantsOf(peer: string): Variant[] {
  const own = peer.startsWith("java-")
    ? [...latin1Contexts(peer), ...movedFiles(peer)]
    : escapedContexts(peer);
  return [...emptyContexts(peer), ...own, ...writtenAnew(peer)];
}

function emptyContexts(peer: string): Variant[] {
  return find(peer, "metadata", ["kms", "aes256"]).map((writing) => ({
    writing: { ...writing, name: `${writing.name}-empty`, context: {} },
  }));
}

/** Characters that JSON escapes, and characters that only some writers escape. */
function escapedContexts(peer: string): Variant[] {
  const context = { 'q"uote': "back\\slash / <&> ~" };
  return find(peer, "metadata", ["kms"]).map((writing) => ({
    writing: { ...writing, name: `${writing.name}-escaped`, context },
  }));
}

/** Characters that are sent as one byte each, which S3 returns in another form. */
function latin1Contexts(peer: string): Variant[] {
  const note =
    "Latin-1 in metadata, a byte a character: its writer does not read how the in-process S3 returns it";
  return find(peer, "metadata", ["kms"]).map((writing) => ({
    writing: { ...writing, name: `${writing.name}-latin1`, context: latin1 },
    note,
    unreadable: true,
  }));
}

/** The form in which S3 returns metadata that was sent as UTF-8. Versions 3 and 4 decode it. */
function movedFiles(peer: string): Variant[] {
  const note = "the instruction file was moved into the metadata as UTF-8, which S3 returns encoded twice";
  if (peer === "java-sdk1") return [];
  return find(peer, "instruction", ["kms"]).map((writing) => ({
    writing: { ...writing, name: `${writing.name}-moved`, context: full },
    note,
    moved: true,
  }));
}

function writtenAnew(peer: string): Variant[] {
  return find(peer, "instruction", ["aes256"]).flatMap((writing) => {
    const rows = rewrapped[`${writing.format} ${writing.wrap}`] ?? [];
    return rows.map(([key, format, wrap, suffix]) => ({
      writing: { ...writing, name: `${writing.name}-anew-${key}` },
      reencrypt: { key, format, wrap, description, ...(suffix !== undefined && { suffix }) },
    }));
  });
}

type Row = readonly [key: KeyName, format: Writing["format"], wrap: string, suffix?: string];

const oaep256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
const rewrapped: Readonly<Record<string, readonly Row[]>> = {
  "V1 AES": [
    ["aes256", "V1", "AES"],
    ["rsa2048", "V1", "RSA", "instruction-next"],
  ],
  "V2 AESWrap": [
    ["aes256", "V2", "AESWrap"],
    ["rsa2048", "V2", oaep256, "instruction-next"],
  ],
  "V3 02": [
    ["aes256", "V3", "02"],
    ["rsa2048", "V3", "22", "instruction-next"],
  ],
  "V2 AES/GCM": [
    ["aes256", "V2", "AES/GCM"],
    ["rsa2048", "V2", "RSA-OAEP-SHA1", "instruction-next"],
  ],
};

function find(peer: string, storage: Storage, keys: readonly KeyName[]): Writing[] {
  return writings.filter((one) => one.writer === peer && one.storage === storage && keys.includes(one.key));
}
