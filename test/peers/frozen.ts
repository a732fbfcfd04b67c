/** The form of the frozen objects in test/vectors/s3ec-*: one file a client, an object of it a case. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Storage, Writing } from "./matrix.js";
import type { KeyMaterial } from "./protocol.js";

/** A file of them. */
export interface Frozen {
  /** The keys by the names that the cases give. */
  readonly keys: Readonly<Record<string, KeyMaterial>>;
  readonly cases: readonly FrozenCase[];
}

/** One object as S3 has it. */
export interface FrozenCase {
  /** Unique, and the object's key. */
  readonly name: string;
  /** Client and version, and how it was set where it has modes. */
  readonly client: string;
  readonly format: Writing["format"];
  readonly content: Writing["content"];
  /** As the format names it; "AES" and "RSA" where V1 leaves it out. */
  readonly wrap: string;
  readonly storage: Storage;
  /** The name of the key in the file. */
  readonly key: string;
  /** What the caller gave: the encryption context under KMS, else the description of the material. */
  readonly context: Readonly<Record<string, string>>;
  /** `testBytes(length, seed)` of test/support/bytes.ts. */
  readonly plaintext: { readonly length: number; readonly seed: number };
  /** The body in base64, and the user metadata as S3 returned it, not decoded. */
  readonly object: { readonly body: string; readonly metadata: Readonly<Record<string, string>> };
  readonly instructionFile?: {
    readonly suffix: string;
    /** Its text. */
    readonly body: string;
    readonly metadata: Readonly<Record<string, string>>;
  };
  /** What KMS answers to Decrypt, under this context alone; in base64. */
  readonly dataKey?: {
    readonly ciphertextBlob: string;
    readonly encryptionContext: Readonly<Record<string, string>>;
    readonly plaintext: string;
  };
  /** What the writer had authenticated beside the content, as text; nothing in the object tells of it. */
  readonly contentAad?: string;
  /** A description of its peculiarity. */
  readonly note?: string;
}

/** All files of them, by their path under test/vectors. */
export function readFrozen(): readonly (Frozen & { readonly path: string })[] {
  const vectors = fileURLToPath(new URL("../vectors", import.meta.url));
  return readdirSync(vectors)
    .filter((folder) => folder.startsWith("s3ec-"))
    .flatMap((folder) => readdirSync(`${vectors}/${folder}`).map((file) => `${folder}/${file}`))
    .map((path) => ({ path, ...(JSON.parse(readFileSync(`${vectors}/${path}`, "utf8")) as Frozen) }));
}
