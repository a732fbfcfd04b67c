import { DecryptCommand, GenerateDataKeyCommand, KMSClient, KMSServiceException } from "@aws-sdk/client-kms";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, it } from "vitest";
import { legacyKmsKeyring } from "../../../src/legacy.js";
import { wraps } from "../../../src/s3ec/suites.js";
import { coded, errorOf } from "../../support/errors.js";
import { useLocalAws } from "../../support/local.js";

const client = new KMSClient({ region: "eu-central-1" });
const kms = mockClient(client);
const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const otherArn = "arn:aws:kms:eu-central-1:111122223333:key/ffffffff-12ab-34cd-56ef-1234567890ab";
const wrapped = Buffer.from("wrapped");
const dataKey = Buffer.alloc(32, 9);
const keyring = legacyKmsKeyring({ kms: client, keyId: arn, grantTokens: ["grant"] });
const refusal = (name: string) =>
  new KMSServiceException({ name, $fault: "client", message: "said the service", $metadata: {} });

beforeEach(() => kms.reset());

describe("legacyKmsKeyring.generateDataKey", () => {
  it("generateDataKey requests an AES-256 key under the caller's context and the content algorithm", async () => {
    kms.on(GenerateDataKeyCommand).resolves({ Plaintext: dataKey, KeyId: arn, CiphertextBlob: wrapped });
    const context = { tenant: "42", "aws:x-amz-cek-alg": "115" };
    expect(
      await keyring.generateDataKey({ contentName: "115", encryptionContext: { tenant: "42" } }),
    ).toEqual({ plaintext: dataKey, wrap: wraps.kmsContext, wrappedKey: wrapped, description: context });
    expect(kms.calls()).toHaveLength(1);
    expect(kms.commandCalls(GenerateDataKeyCommand)[0]?.args[0].input).toEqual({
      KeyId: arn,
      KeySpec: "AES_256",
      EncryptionContext: context,
      GrantTokens: ["grant"],
    });
  });

  it.each([
    [
      { "aws:x-amz-cek-alg": "115" },
      /^input\.encryptionContext\["aws:x-amz-cek-alg"\]: this name is reserved$/,
    ],
    [{ kms_cmk_id: arn }, /^input\.encryptionContext\["kms_cmk_id"\]: this name is reserved$/],
    [{ large: "x".repeat(8170) }, /^input\.encryptionContext: expected at most 8192 bytes in all, got/],
    [{ "": "x" }, /expected a non-empty name$/],
  ])("generateDataKey refuses a wrong context before any request: %#", async (encryptionContext, message) => {
    const error = await errorOf(() => keyring.generateDataKey({ contentName: "115", encryptionContext }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(message);
    expect(kms.calls()).toHaveLength(0);
  });

  it("generateDataKey refuses an unusable response and zeroes its plaintext", async () => {
    for (const change of [
      { KeyId: otherArn },
      { CiphertextBlob: undefined },
      { Plaintext: Buffer.alloc(16, 1) },
    ]) {
      const answer = { Plaintext: Buffer.from(dataKey), KeyId: arn, CiphertextBlob: wrapped, ...change };
      kms.on(GenerateDataKeyCommand).resolves(answer as never);
      const error = await errorOf(() =>
        keyring.generateDataKey({ contentName: "115", encryptionContext: {} }),
      );
      expect(error).toEqual(coded("KMS_REQUEST_FAILED", { operation: "GenerateDataKey" }));
      expect(answer.Plaintext.every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe("legacyKmsKeyring.unwrapDataKey", () => {
  const description = { kms_cmk_id: otherArn, user: "secret-tenant" };
  const input = { wrap: wraps.kms, wrappedKey: wrapped, contentName: "AES/GCM/NoPadding", description };

  it.each([wraps.kms, wraps.kmsContext])(
    "unwrapDataKey sends the stored context of $name, with the id of the key",
    async (wrap) => {
      kms.on(DecryptCommand).resolves({ Plaintext: dataKey });
      expect(await keyring.unwrapDataKey({ ...input, wrap })).toEqual(dataKey);
      expect(kms.commandCalls(DecryptCommand)[0]?.args[0].input).toEqual({
        KeyId: arn,
        CiphertextBlob: wrapped,
        EncryptionContext: description,
        EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
        GrantTokens: ["grant"],
      });
    },
  );

  it("discovery sends no key id and cannot generate data keys", async () => {
    kms.on(DecryptCommand).resolves({ Plaintext: dataKey });
    const discovery = legacyKmsKeyring({ kms: client, discovery: true });
    expect(await discovery.unwrapDataKey(input)).toEqual(dataKey);
    expect(kms.commandCalls(DecryptCommand)[0]?.args[0].input.KeyId).toBe(undefined);
    const error = await errorOf(() =>
      discovery.generateDataKey({ contentName: "115", encryptionContext: {} }),
    );
    expect(error).toEqual(new TypeError("options.keyId: expected a key to write with, got undefined"));
    expect(kms.calls()).toHaveLength(1);
  });

  it.each([wraps.aesGcm, wraps.rsaPkcs1])(
    "unwrapDataKey refuses $name without a request to KMS",
    async (wrap) => {
      const error = await errorOf(() => keyring.unwrapDataKey({ ...input, wrap }));
      expect(error).toEqual(coded("KEY_NOT_FOR_OBJECT", { wrap: wrap.name, keyType: "kms" }));
      expect(kms.calls()).toHaveLength(0);
    },
  );

  it("unwrapDataKey has the errors of kmsKeyring, without values of the context", async () => {
    for (const [name, code] of [
      ["InvalidCiphertextException", "KMS_CIPHERTEXT_REJECTED"],
      ["IncorrectKeyException", "KEY_NOT_FOR_OBJECT"],
      ["AccessDeniedException", "KMS_ACCESS_DENIED"],
    ] as const) {
      kms.on(DecryptCommand).rejects(refusal(name));
      const error = await errorOf(() => keyring.unwrapDataKey(input));
      const contextNames = ["kms_cmk_id", "user"];
      expect(error).toEqual(coded(code, { operation: "Decrypt", keyId: arn, contextNames }));
      expect(JSON.stringify([error.message, error])).not.toContain("secret-tenant");
    }
  });

  it("legacyKmsKeyring rejects with the reason of an aborted signal, before and during a request", async () => {
    const reason = new Error("enough");
    const early = AbortSignal.abort(reason);
    expect(await errorOf(() => keyring.unwrapDataKey({ ...input, abortSignal: early }))).toBe(reason);
    expect(kms.calls()).toHaveLength(0);
    const controller = new AbortController();
    kms.on(DecryptCommand).callsFake(() => {
      controller.abort(reason);
      throw new Error("aborted");
    });
    const during = { ...input, abortSignal: controller.signal };
    expect(await errorOf(() => keyring.unwrapDataKey(during))).toBe(reason);
  });
});

describe("options of legacyKmsKeyring", () => {
  it.each([
    [undefined, "options: expected an object, got undefined"],
    [{ keyId: arn }, "options.kms: expected a KMSClient, got undefined"],
    [{ kms: client }, "options.keyId: expected a string, got undefined"],
    [{ kms: client, discovery: false }, "options.keyId: expected a string, got undefined"],
    [{ kms: client, discovery: "yes" }, "options.discovery: expected one of true, false, got another string"],
    [
      { kms: client, discovery: true, keyId: arn },
      "options.keyId: expected none with options.discovery, got one",
    ],
    [
      { kms: client, keyId: arn, grantTokens: "x" },
      "options.grantTokens: expected an array of strings, got a string",
    ],
  ])("legacyKmsKeyring refuses wrong options: %#", (options, message) => {
    expect(() => legacyKmsKeyring(options as never)).toThrow(message);
  });
});

describe("legacyKmsKeyring with the in-process KMS", () => {
  const local = useLocalAws();

  it("legacyKmsKeyring unwraps its own wrapped keys, under the same context and key only", async () => {
    const own = legacyKmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
    const made = await own.generateDataKey({ contentName: "115", encryptionContext: { tenant: "Zoë" } });
    const input = { ...made, contentName: "115" };
    expect(Buffer.from(await own.unwrapDataKey(input))).toEqual(Buffer.from(made.plaintext));
    const discovery = legacyKmsKeyring({ kms: local.aws.kms, discovery: true });
    expect(Buffer.from(await discovery.unwrapDataKey(input))).toEqual(Buffer.from(made.plaintext));
    for (const description of [
      {},
      { ...made.description, more: "" },
      { ...made.description, tenant: "Zoe" },
    ]) {
      const error = await errorOf(() => own.unwrapDataKey({ ...input, description }));
      expect(error).toEqual(coded("KMS_CIPHERTEXT_REJECTED"));
    }
  });
});
