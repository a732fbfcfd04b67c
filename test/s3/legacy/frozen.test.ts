/** Objects that Amazon's clients wrote are read, offline and for ever. test/vectors/README.md tells where they come from. */
import { createPrivateKey } from "node:crypto";
import { Readable } from "node:stream";
import { DecryptCommand, InvalidCiphertextException, KMSClient } from "@aws-sdk/client-kms";
import { mockClient } from "aws-sdk-client-mock";
import { describe, expect, test } from "vitest";
import {
  decryptLegacyObject,
  type LegacyKeyring,
  type LegacyReadingOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyRsaKeyring,
} from "../../../src/legacy.js";
import { type Frozen, type FrozenCase, readFrozen } from "../../peers/frozen.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { allowAll } from "../../support/legacy-objects.js";

const files = readFrozen();

/** The keyring of a case; KMS answers for its data key under its context alone. */
function keyringOf({ keys }: Frozen, { key, dataKey }: FrozenCase): LegacyKeyring {
  const { aesKey, rsaKey, kmsKeyId = "" } = keys[key] ?? {};
  if (aesKey !== undefined) return legacyAesKeyring({ wrappingKey: Buffer.from(aesKey, "base64") });
  if (rsaKey !== undefined) {
    const der = { key: Buffer.from(rsaKey, "base64"), format: "der", type: "pkcs8" } as const;
    return legacyRsaKeyring({ privateKey: createPrivateKey(der) });
  }
  const kms = new KMSClient({ region: "us-east-1" });
  mockClient(kms)
    .rejects(new InvalidCiphertextException({ message: "", $metadata: {} }))
    .on(DecryptCommand, {
      KeyId: kmsKeyId,
      CiphertextBlob: Buffer.from(dataKey?.ciphertextBlob ?? "", "base64"),
      EncryptionContext: dataKey?.encryptionContext,
    })
    .resolves({ KeyId: kmsKeyId, Plaintext: Buffer.from(dataKey?.plaintext ?? "", "base64") });
  return legacyKmsKeyring({ kms, keyId: kmsKeyId });
}

async function read(
  frozen: Frozen,
  one: FrozenCase,
  Body: Uint8Array | Readable,
  options: Partial<LegacyReadingOptions> = allowAll,
): Promise<Buffer> {
  const { instructionFile, context } = one;
  const output = await decryptLegacyObject(
    {
      Body,
      Metadata: one.object.metadata,
      ...(instructionFile && { instructionFile: instructionFile.body }),
      ...(one.key === "kms" && { encryptionContext: context }),
    },
    { keyring: keyringOf(frozen, one), ...options },
  );
  expect(output.legacy).toMatchObject({ format: one.format, storage: storageOf(one) });
  return Buffer.from(await output.Body.transformToByteArray());
}

function storageOf({ storage }: FrozenCase): string {
  return storage === "metadata" ? "metadata" : "instruction-file";
}

test("all four clients and their versions are there", () => {
  expect(files.map(({ path }) => path)).toEqual([
    "s3ec-go-v3/3.2.0.json",
    "s3ec-java-sdk1/1.12.797.json",
    "s3ec-java-v3/3.5.0.json",
    "s3ec-java-v4/4.0.1.json",
    "s3ec-python-v4/4.0.0.json",
  ]);
  expect(files.reduce((count, { cases }) => count + cases.length, 0)).toBe(323);
});

describe.each(files)("$path", (frozen) => {
  test.each(frozen.cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const body = Buffer.from(one.object.body, "base64");
    const plaintext = testBytes(one.plaintext.length, one.plaintext.seed);
    expectBytes(await read(frozen, one, body), plaintext);
    const bytes = Array.from(body, (_, index) => body.subarray(index, index + 1));
    expectBytes(await read(frozen, one, Readable.from(bytes)), plaintext);
    const streamed = { ...allowAll, releaseUnverifiedPlaintext: true };
    expectBytes(await read(frozen, one, Readable.from([body]), streamed), plaintext);

    const spoilt = Buffer.from(body);
    spoilt[spoilt.length - 1] = (spoilt.at(-1) ?? 0) ^ 1;
    if (one.content !== "AES/CBC/PKCS5Padding") {
      await expect(read(frozen, one, spoilt)).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
    }
    const byDefault = read(frozen, one, body, {});
    if (one.format === "V3") expectBytes(await byDefault, plaintext);
    else await expect(byDefault).rejects.toMatchObject({ code: "LEGACY_REFUSED" });
  });
});
