/** Writers, readers and modifications for the rows of Amazon's conformance suite, through S3 and KMS. */
import type { KeyObject } from "node:crypto";
import { expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";
import {
  type LegacyKeyring,
  type LegacyReadingOptions,
  LegacyWriter,
  type LegacyWriterOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyRsaKeyring,
} from "../../src/legacy.js";
import type { GetInput } from "../../src/objects/get/get-input.js";
import type { LegacyPutInput } from "../../src/s3ec-objects/write/put-input.js";
import { expectBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import {
  kek,
  type LegacyShape,
  rsaPrivateKey,
  type WriteOptions,
  writeLegacy,
} from "../support/legacy-objects.js";
import { stored } from "../support/legacy-writer.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { readS3ec } from "../support/s3ec.js";
import { readerOf, store } from "./support.js";

export const local = useLocalAws();

/** The commitment policies by the suite's short names. */
export const policies = {
  FEAD: { commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT" },
  REAC: { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" },
  RERD: { commitmentPolicy: "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" },
} as const satisfies Record<string, Partial<LegacyReadingOptions>>;
/** A client of the suite with the algorithm 0x72, which only FEAD allows. */
export const gcmWriter = {
  ...policies.FEAD,
  encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
} as const satisfies Partial<LegacyWriterOptions>;
export const wrapFlag = { enableLegacyWrappingAlgorithms: true } as const;
export const unauthenticatedFlag = { enableLegacyUnauthenticatedModes: true } as const;
export const bothFlags = { ...wrapFlag, ...unauthenticatedFlag } as const;

export const keyTypes = ["kms", "aes", "rsa"] as const;
type KeyType = (typeof keyTypes)[number];

/** The keyring of a type, with the key of all objects of the tests. */
export function keyringOf(keyType: KeyType, privateKey: KeyObject = rsaPrivateKey): LegacyKeyring {
  if (keyType === "kms") return legacyKmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
  return keyType === "aes" ? legacyAesKeyring({ wrappingKey: kek }) : legacyRsaKeyring({ privateKey });
}

/** The metadata or the fields of an instruction file. */
export type Fields = Record<string, string>;

const seen = new Map<number, string[]>();

/** One test of a row of the suite. */
export function row(number: number, name: string, test: () => Promise<void>): void {
  seen.set(number, [...(seen.get(number) ?? []), name]);
  it(`row ${number}: ${name}`, test, 60_000);
}

/** The numbers of the rows that have a test. */
export const rowsWithTests = (): number[] => [...seen.keys()].sort((a, b) => a - b);

/** Writes with the writer of this package. */
export async function put(
  Key: string,
  Body: Uint8Array,
  keyType: KeyType,
  options: Partial<LegacyWriterOptions> = {},
  input: Partial<LegacyPutInput> = {},
): Promise<void> {
  const writer = new LegacyWriter({ s3: local.s3, keyring: keyringOf(keyType), ...options });
  await writer.put({ Bucket, Key, Body, ...input });
}

/** Writes like a client for another language. */
export async function putForeign(
  Key: string,
  Body: Uint8Array,
  shape: LegacyShape,
  options: WriteOptions = {},
): Promise<void> {
  const kms = { client: local.aws.kms, keyId: local.keyArn };
  await store(local, Key, await writeLegacy(Body, shape, { kms, ...options }));
}

/** Reads an object with a client of this package that has all keys and these options. */
export async function read(
  Key: string,
  options: Partial<LegacyReadingOptions> = {},
  input: Partial<GetInput> = {},
): Promise<Buffer> {
  const { Body } = await readerOf(local, options).get({ Bucket, Key, ...input });
  return Buffer.from(await Body.transformToByteArray());
}

/** Expects this plaintext of {@link read}. */
export async function expectRead(expected: Uint8Array, ...args: Parameters<typeof read>): Promise<void> {
  expectBytes(await read(...args), expected);
}

/** Expects this plaintext from an independent reader. */
export async function expectReadElsewhere(expected: Uint8Array, Key: string, keyType: KeyType) {
  const keys = {
    kms: { kms: local.aws.kms, keyId: local.keyArn },
    aes: { aes: kek },
    rsa: { rsa: rsaPrivateKey },
  };
  expectBytes(await readS3ec(await stored(local, Key), keys[keyType]), expected);
}

/** Expects that reading fails with a code, before any body is returned and, unless stated otherwise, without KMS. */
export async function expectRefused(
  code: ErrorCode,
  Key: string,
  options: Partial<LegacyReadingOptions> = {},
  input: Partial<GetInput> = {},
  details: Record<string, unknown> = {},
): Promise<Error> {
  local.operations();
  const error = await errorOf(() => readerOf(local, options).get({ Bucket, Key, ...input }));
  expect(error).toEqual(coded(code, details));
  // A key is used only where the key reveals the fault.
  if (code !== "DECRYPTION_FAILED") expect(local.operations()).not.toContain("Decrypt");
  return error;
}

/** Copies an object with other metadata, and its instruction file with other fields, neither with any marker. */
export async function copy(
  from: string,
  to: string,
  change: { metadata?: (metadata: Fields) => Fields; file?: (fields: Fields) => Fields } = {},
): Promise<void> {
  const { bytes, metadata, instructions } = await stored(local, from);
  await local.putRaw(to, bytes, change.metadata?.(metadata) ?? metadata);
  if (instructions === undefined) return;
  const fields = change.file ? JSON.stringify(change.file(JSON.parse(instructions))) : instructions;
  await local.putRaw(`${to}.instruction`, Buffer.from(fields));
}

/** The metadata of an object of V3 with an instruction file. */
export async function ownFields(Key: string): Promise<Fields> {
  const { "x-amz-c": c = "", "x-amz-d": d = "", "x-amz-i": i = "" } = (await stored(local, Key)).metadata;
  return { "x-amz-c": c, "x-amz-d": d, "x-amz-i": i };
}
