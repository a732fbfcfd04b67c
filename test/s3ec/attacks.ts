/** Objects under real keyrings for the attacks of Amazon's conformance suite, and the expected results. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { beforeAll, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";
import { legacyAesKeyring, legacyKmsKeyring, legacyReading, legacyRsaKeyring } from "../../src/legacy.js";
import { sealContentKeys } from "../../src/s3ec/content/content-keys.js";
import type { LegacyEnvelope } from "../../src/s3ec/envelope.js";
import { decodeInstructionFile } from "../../src/s3ec/instruction-file.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "../../src/s3ec/keyrings/keyring.js";
import { type LegacyUnwrapRequest, unwrapContentKeys } from "../../src/s3ec/keyrings/unwrap.js";
import { decodeLegacyMetadata } from "../../src/s3ec/metadata.js";
import type { LegacyPolicy } from "../../src/s3ec/policy.js";
import {
  type ContentSuite,
  cbcSuite,
  committingSuite,
  gcmSuite,
  type KeyType,
} from "../../src/s3ec/suites.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { fileOf, lax, type Metadata, splitV3, strict } from "./support.js";

export const local = useLocalAws();
export const kek = randomBytes(32);
export const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const user = { tenant: "42" };
export const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
export const iv16 = base64(Buffer.alloc(16, 7));
export const noFlags: LegacyPolicy = { ...strict, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" };

export let keyrings: Record<KeyType, LegacyKeyring>;
export const asked: LegacyUnwrapInput[] = [];

/** Objects whose data keys real keyrings have wrapped, with the content key that each must open to. */
export interface Written {
  readonly metadata: Metadata;
  readonly key: Buffer;
}
export const written: Record<string, Written> = {};
/** The metadata of one of them: "V2 kms", "V3 aes" and so on; "V2 cbc aes" is AES/CBC under a wrap that binds it. */
export const of = (name: string): Metadata => written[name]?.metadata ?? {};

beforeAll(async () => {
  const recorded = (keyring: LegacyKeyring): LegacyKeyring => ({
    ...keyring,
    unwrapDataKey(input) {
      asked.push(input);
      return keyring.unwrapDataKey(input);
    },
  });
  keyrings = {
    kms: recorded(legacyKmsKeyring({ kms: local.aws.kms, keyId: local.keyArn })),
    aes: recorded(legacyAesKeyring({ wrappingKey: kek })),
    rsa: recorded(legacyRsaKeyring({ privateKey: rsa.privateKey })),
  };
  for (const type of ["kms", "aes", "rsa"] as const) {
    written[`V2 ${type}`] = await write(type, gcmSuite);
    written[`V2 cbc ${type}`] = await write(type, cbcSuite);
    written[`V3 ${type}`] = await write(type, committingSuite);
  }
  local.aws.clearRequests();
});

export async function write(type: KeyType, suite: ContentSuite): Promise<Written> {
  const contentName = suite.contentNames[0];
  const encryptionContext = type === "kms" ? user : {};
  const { plaintext, wrap, wrappedKey, description } = await keyrings[type].generateDataKey({
    contentName,
    encryptionContext,
  });
  if (!suite.commits) {
    const metadata = {
      "x-amz-key-v2": base64(wrappedKey),
      "x-amz-iv": base64(Buffer.alloc(suite.ivBytes, 3)),
      "x-amz-wrap-alg": wrap.name,
      "x-amz-cek-alg": contentName,
      "x-amz-matdesc": JSON.stringify(description),
      ...(suite === gcmSuite ? { "x-amz-tag-len": "128" } : {}),
    };
    return { metadata, key: Buffer.from(plaintext) };
  }
  const { keys, iv, commitment = Buffer.alloc(0) } = sealContentKeys(suite, plaintext);
  const metadata = {
    "x-amz-c": "115",
    "x-amz-d": base64(commitment),
    "x-amz-i": base64(iv),
    "x-amz-w": wrap.code ?? "",
    "x-amz-3": base64(wrappedKey),
    [type === "kms" ? "x-amz-t" : "x-amz-m"]: JSON.stringify(description),
  };
  return { metadata, key: keys.key.export() };
}

/** An object: its metadata, and its instruction file if it has one. */
export type Stored = Metadata | { readonly onObject: Metadata; readonly file: unknown };

function split(stored: Stored): { readonly onObject: Metadata; readonly file: unknown } {
  return "onObject" in stored
    ? (stored as { onObject: Metadata; file: unknown })
    : { onObject: stored as Metadata, file: {} };
}

export function parse(stored: Stored): LegacyEnvelope {
  const { onObject, file } = split(stored);
  const found = decodeLegacyMetadata(onObject);
  return "needsInstructionFile" in found ? decodeInstructionFile(fileOf(file), found) : found;
}

export async function open(stored: Stored, input: Partial<LegacyUnwrapRequest> = {}) {
  asked.length = 0;
  local.aws.clearRequests();
  return unwrapContentKeys(parse(stored), {
    keyrings: Object.values(keyrings),
    policy: lax,
    expected: "any",
    isRange: false,
    ...input,
  });
}

/** The expected result of unwrapping and of a `get` from S3: a code, a part of the message, and whether a key may have been used. */
export interface Row {
  readonly stored: () => Stored;
  readonly input?: () => Partial<LegacyUnwrapRequest>;
  readonly code: ErrorCode;
  readonly says: string;
  /** False by default. */
  readonly usesKey?: boolean;
}

export function rows(table: Record<string, Row>): void {
  it.each(Object.entries(table))("%s", async (_, { stored, input, code, says, usesKey = false }) => {
    for (const read of [open, get]) {
      const error = await errorOf(() => read(stored(), input?.()));
      expect(error).toEqual(coded(code));
      expect(error.message).toContain(says);
      expect(asked).toHaveLength(usesKey ? 1 : 0);
      if (!usesKey) expect(local.operations().filter((operation) => operation !== "GetObject")).toEqual([]);
    }
  });
}

/** Stores an object in S3 and begins to read it. A row does not concern later failures. */
async function get(stored: Stored, input: Partial<LegacyUnwrapRequest> = {}): Promise<void> {
  const { onObject, file } = split(stored);
  await local.putRaw("row", Buffer.alloc(64), onObject);
  await local.putRaw("row.instruction", fileOf(file));
  asked.length = 0;
  const { policy = lax, keyrings: given = Object.values(keyrings), isRange } = input;
  const legacy = legacyReading({ ...policy, keyring: given });
  const { Body } = await local.clientWith({ legacy }).get({
    Bucket,
    Key: "row",
    Range: isRange ? "bytes=0-9" : undefined,
    encryptionContext: "expected" in input ? input.expected : "any",
  });
  Body.destroy();
}

export const json = (metadata: Metadata, name: string) => JSON.parse(metadata[name] ?? "{}") as Metadata;

/** V2 of KMS relabelled, with changes to its material description. */
export function asKms(change: (description: Metadata) => Metadata = (same) => same): Metadata {
  const metadata = of("V2 kms");
  const description = change(json(metadata, "x-amz-matdesc"));
  return { ...metadata, "x-amz-wrap-alg": "kms", "x-amz-matdesc": JSON.stringify(description) };
}

/** V2 rewritten as V1, which states no algorithm. */
export function asV1(name: string): Metadata {
  return { "x-amz-key": of(name)["x-amz-key-v2"] ?? "", "x-amz-iv": iv16, "x-amz-matdesc": "{}" };
}

/** An object with its own content fields and the instruction file of another. */
export const withFile = (name: string, change: (file: Metadata) => unknown): Stored => {
  const { onObject, file } = splitV3(of(name));
  return { onObject, file: change(file) };
};

export const flip = (text = "") => {
  const bytes = Buffer.from(text, "base64");
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1);
  return base64(bytes);
};
