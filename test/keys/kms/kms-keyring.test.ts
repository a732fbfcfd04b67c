import { DecryptCommand, GenerateDataKeyCommand, KMSClient, KMSServiceException } from "@aws-sdk/client-kms";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../../src/base/errors.js";
import type { Recipient } from "../../../src/keys/keyring.js";
import { kmsKeyring } from "../../../src/keys/kms/kms-keyring.js";
import { coded, errorOf } from "../../support/errors.js";

const client = new KMSClient({ region: "eu-central-1" });
const kms = mockClient(client);
const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const otherArn = "arn:aws:kms:eu-central-1:111122223333:key/ffffffff-12ab-34cd-56ef-1234567890ab";
const encryptionContext = { "s3-envelope": "v1 Cobblestone-256", tenant: "secret-tenant" };
const recipient: Recipient = { provider: "aws-kms", keyId: arn, ciphertext: Buffer.from("wrapped") };
const dataKey = Buffer.alloc(32, 9);

beforeEach(() => kms.reset());

describe("kmsKeyring.generateDataKey", () => {
  it("requests one AES-256 key under the context", async () => {
    kms
      .on(GenerateDataKeyCommand)
      .resolves({ Plaintext: dataKey, KeyId: arn, CiphertextBlob: Buffer.from("wrapped") });
    const keyring = kmsKeyring({ kms: client, keyId: "alias/app", grantTokens: ["grant"] });
    expect(await keyring.generateDataKey({ encryptionContext })).toEqual({
      plaintext: dataKey,
      recipients: [recipient],
    });
    expect(kms.calls()).toHaveLength(1);
    expect(kms.commandCalls(GenerateDataKeyCommand)[0]?.args[0].input).toEqual({
      KeyId: "alias/app",
      KeySpec: "AES_256",
      EncryptionContext: encryptionContext,
      GrantTokens: ["grant"],
    });
  });

  it.each(["Plaintext", "KeyId", "CiphertextBlob"])("refuses a response without %s", async (field) => {
    const plaintext = Buffer.from(dataKey);
    kms
      .on(GenerateDataKeyCommand)
      .resolves({ Plaintext: plaintext, KeyId: arn, CiphertextBlob: Buffer.of(1), [field]: undefined });
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    const error = await errorOf(() => keyring.generateDataKey({ encryptionContext }));
    expect(error).toEqual(coded("KMS_REQUEST_FAILED"));
    expect(error.message).toContain(field);
    if (field !== "Plaintext") expect(plaintext).toEqual(Buffer.alloc(32));
  });
});

describe("kmsKeyring refuses a response to GenerateDataKey with a data key", () => {
  const good = { KeyId: arn, CiphertextBlob: Buffer.of(1) };
  it.each<[string, object]>([
    ["of 31 bytes", { Plaintext: Buffer.alloc(31, 1) }],
    ["of 33 bytes", { Plaintext: Buffer.alloc(33, 1) }],
    ["of no bytes", { Plaintext: Buffer.alloc(0) }],
    ["of zeros", { Plaintext: Buffer.alloc(32) }],
    ["that is a number", { Plaintext: 32 }],
    ["under a key that is a number", { KeyId: 1 }],
    ["under a key with a name that is too long", { KeyId: `${arn}${"0".repeat(1000)}` }],
    ["under another key", { KeyId: otherArn }],
    ["wrapped in nothing", { CiphertextBlob: Buffer.alloc(0) }],
    ["wrapped in 9,000 bytes", { CiphertextBlob: Buffer.alloc(9000) }],
    ["wrapped in a string", { CiphertextBlob: "AQ==" }],
  ])("%s", async (_, change) => {
    const output = { ...good, Plaintext: Buffer.from(dataKey), ...change };
    kms.on(GenerateDataKeyCommand).resolves(output as never);
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    const error = await errorOf(() => keyring.generateDataKey({ encryptionContext }));
    expect(error).toEqual(coded("KMS_REQUEST_FAILED", { operation: "GenerateDataKey" }));
    if (output.Plaintext instanceof Uint8Array)
      expect(output.Plaintext.every((byte) => byte === 0)).toBe(true);
  });

  it("but accepts one whose key was requested by its id or an alias", async () => {
    kms.on(GenerateDataKeyCommand).resolves({ ...good, Plaintext: dataKey });
    for (const keyId of ["1234abcd-12ab-34cd-56ef-1234567890ab", "alias/a", arn]) {
      const { recipients } = await kmsKeyring({ kms: client, keyId }).generateDataKey({ encryptionContext });
      expect(recipients).toMatchObject([{ keyId: arn }]);
    }
  });
});

describe("kmsKeyring.unwrapDataKey", () => {
  it("refuses a response whose Plaintext is not bytes", async () => {
    for (const Plaintext of [32, undefined, "AQ=="]) {
      kms.on(DecryptCommand).resolves({ Plaintext } as never);
      const unwrap = () =>
        kmsKeyring({ kms: client, keyId: arn }).unwrapDataKey({ recipients: [recipient], encryptionContext });
      expect(await errorOf(unwrap)).toEqual(coded("KMS_REQUEST_FAILED", { operation: "Decrypt" }));
    }
  });

  it("sends Decrypt with the configured key", async () => {
    kms.on(DecryptCommand).resolves({ Plaintext: dataKey, KeyId: arn });
    const keyring = kmsKeyring({ kms: client, keyId: arn, grantTokens: ["grant"] });
    expect(await keyring.unwrapDataKey({ recipients: [recipient], encryptionContext })).toEqual(dataKey);
    expect(kms.commandCalls(DecryptCommand)[0]?.args[0].input).toEqual({
      KeyId: arn,
      CiphertextBlob: recipient.ciphertext,
      EncryptionContext: encryptionContext,
      EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
      GrantTokens: ["grant"],
    });
  });

  it.each([
    ["another ARN", otherArn],
    ["another key id", "ffffffff-12ab-34cd-56ef-1234567890ab"],
    ["a part of its key id", "1234567890ab"],
    ["the start of its key id", "1234abcd"],
  ])("resolves to null without a request when the object is for %s", async (_, keyId) => {
    const keyring = kmsKeyring({ kms: client, keyId });
    expect(await keyring.unwrapDataKey({ recipients: [recipient], encryptionContext })).toBe(null);
    expect(kms.calls()).toHaveLength(0);
  });

  it("resolves to null when no recipient is for KMS", async () => {
    const keyring = kmsKeyring({ kms: client, keyId: "alias/app" });
    const recipients = [{ ...recipient, provider: "aes" }];
    expect(await keyring.unwrapDataKey({ recipients, encryptionContext })).toBe(null);
  });

  it("finds its recipient by a bare key id", async () => {
    kms.on(DecryptCommand).resolves({ Plaintext: dataKey });
    const keyring = kmsKeyring({ kms: client, keyId: "1234abcd-12ab-34cd-56ef-1234567890ab" });
    const recipients = [{ ...recipient, keyId: otherArn }, recipient];
    expect(await keyring.unwrapDataKey({ recipients, encryptionContext })).toEqual(dataKey);
    expect(kms.calls()).toHaveLength(1);
  });

  it("refuses a response without Plaintext", async () => {
    kms.on(DecryptCommand).resolves({ KeyId: arn });
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    const error = await errorOf(() => keyring.unwrapDataKey({ recipients: [recipient], encryptionContext }));
    expect(error).toEqual(coded("KMS_REQUEST_FAILED", { operation: "Decrypt" }));
    expect(error.message).toContain("Plaintext");
  });

  it.each([
    ["a key ARN", arn],
    ["a bare key id", "1234abcd-12ab-34cd-56ef-1234567890ab"],
  ])("refuses a data key that came from another key than %s, and zeroes it", async (_, keyId) => {
    for (const KeyId of [otherArn, "", 1 as never]) {
      const plaintext = Buffer.alloc(32, 7);
      kms.on(DecryptCommand).resolves({ Plaintext: plaintext, KeyId });
      const keyring = kmsKeyring({ kms: client, keyId });
      const error = await errorOf(() =>
        keyring.unwrapDataKey({ recipients: [recipient], encryptionContext }),
      );
      expect(error).toEqual(coded("KMS_REQUEST_FAILED", { operation: "Decrypt" }));
      expect(plaintext).toEqual(Buffer.alloc(32));
    }
    kms.on(DecryptCommand).resolves({ Plaintext: Buffer.from(dataKey), KeyId: arn });
    const keyring = kmsKeyring({ kms: client, keyId });
    expect(await keyring.unwrapDataKey({ recipients: [recipient], encryptionContext })).toEqual(dataKey);
  });

  it.each(["alias/app", "arn:aws:kms:eu-central-1:111122223333:alias/app"])(
    "accepts any key that KMS names for %s, as the key of an alias is not known",
    async (keyId) => {
      kms.on(DecryptCommand).resolves({ Plaintext: Buffer.from(dataKey), KeyId: otherArn });
      const keyring = kmsKeyring({ kms: client, keyId });
      expect(await keyring.unwrapDataKey({ recipients: [recipient], encryptionContext })).toEqual(dataKey);
    },
  );

  it("tries each recipient with an alias until KMS decrypts one, and stops at any failure but a wrong key", async () => {
    const incorrect = failure("IncorrectKeyException", 400);
    kms.on(DecryptCommand).rejectsOnce(incorrect).resolvesOnce({ Plaintext: dataKey });
    const keyring = kmsKeyring({ kms: client, keyId: "alias/app" });
    const recipients = [{ ...recipient, keyId: otherArn }, recipient];
    expect(await keyring.unwrapDataKey({ recipients, encryptionContext })).toEqual(dataKey);
    kms.reset();
    kms.on(DecryptCommand).rejects(failure("AccessDeniedException", 400));
    const error = await errorOf(() => keyring.unwrapDataKey({ recipients, encryptionContext }));
    expect(error).toEqual(coded("KMS_ACCESS_DENIED"));
    expect(kms.calls()).toHaveLength(1);
    kms.reset();
    kms.on(DecryptCommand).rejects(incorrect);
    expect(await errorOf(() => keyring.unwrapDataKey({ recipients, encryptionContext }))).toEqual(
      coded("KEY_NOT_FOR_OBJECT", { serviceError: "IncorrectKeyException" }),
    );
  });
});

describe("errors of KMS", () => {
  const network = (code: string) => Object.assign(new Error("connect failed"), { code });
  const cases: [string, Error, ErrorCode, boolean][] = [
    ["AccessDeniedException", failure("AccessDeniedException", 400), "KMS_ACCESS_DENIED", false],
    [
      "InvalidCiphertextException",
      failure("InvalidCiphertextException", 400),
      "KMS_CIPHERTEXT_REJECTED",
      false,
    ],
    ["IncorrectKeyException", failure("IncorrectKeyException", 400), "KEY_NOT_FOR_OBJECT", false],
    ["NotFoundException", failure("NotFoundException", 400), "KMS_KEY_NOT_FOUND", false],
    ["DisabledException", failure("DisabledException", 400), "KMS_KEY_UNUSABLE", false],
    ["KMSInvalidStateException", failure("KMSInvalidStateException", 400), "KMS_KEY_UNUSABLE", false],
    ["InvalidKeyUsageException", failure("InvalidKeyUsageException", 400), "KMS_KEY_UNUSABLE", false],
    ["InvalidGrantTokenException", failure("InvalidGrantTokenException", 400), "KMS_ACCESS_DENIED", false],
    ["ExpiredTokenException", failure("ExpiredTokenException", 400), "KMS_ACCESS_DENIED", false],
    [
      "CredentialsProviderError",
      Object.assign(new Error(), { name: "CredentialsProviderError" }),
      "KMS_ACCESS_DENIED",
      false,
    ],
    ["ThrottlingException", failure("ThrottlingException", 400), "KMS_UNAVAILABLE", true],
    ["KeyUnavailableException", failure("KeyUnavailableException", 500), "KMS_UNAVAILABLE", true],
    ["DependencyTimeoutException", failure("DependencyTimeoutException", 503), "KMS_UNAVAILABLE", true],
    ["KMSInternalException", failure("KMSInternalException", 500), "KMS_UNAVAILABLE", true],
    ["TimeoutError", Object.assign(new Error(), { name: "TimeoutError" }), "KMS_UNAVAILABLE", true],
    ["ECONNRESET", network("ECONNRESET"), "KMS_UNAVAILABLE", true],
    ["ENOTFOUND", network("ENOTFOUND"), "KMS_UNAVAILABLE", true],
    ["OddException", failure("OddException", 429), "KMS_UNAVAILABLE", true],
    ["OddException", failure("OddException", 500), "KMS_UNAVAILABLE", true],
    ["constructor", failure("constructor", 400), "KMS_REQUEST_FAILED", false],
    ["ValidationException", failure("ValidationException", 400), "KMS_REQUEST_FAILED", false],
    ["unknown error", "nothing" as unknown as Error, "KMS_REQUEST_FAILED", false],
  ];

  it.each(cases)(
    "%s is mapped to its code, with its cause and without values of the context",
    async (name, cause, code, retryable) => {
      kms.on(DecryptCommand).callsFake(() => Promise.reject(cause));
      kms.on(GenerateDataKeyCommand).callsFake(() => Promise.reject(cause));
      const keyring = kmsKeyring({ kms: client, keyId: arn });
      for (const operation of ["Decrypt", "GenerateDataKey"] as const) {
        const error = await errorOf(() =>
          operation === "Decrypt"
            ? keyring.unwrapDataKey({ recipients: [recipient], encryptionContext })
            : keyring.generateDataKey({ encryptionContext }),
        );
        expect(error).toEqual(
          coded(code, { operation, keyId: arn, contextNames: ["s3-envelope", "tenant"], serviceError: name }),
        );
        expect(error).toMatchObject({ retryable, cause });
        if (cause instanceof KMSServiceException)
          expect(error).toMatchObject({ details: { requestId: "request-1" } });
        expect(JSON.stringify([error.message, error])).not.toContain("secret-tenant");
      }
    },
  );
});

describe("a mock of KMS that returns the same Plaintext each time", () => {
  const reused =
    "failed: its response has the Plaintext of an earlier response, which was zeroed after use; a mock of KMS must make a new one for each call";

  it("is refused with an explanation when GenerateDataKey returns a zeroed data key", async () => {
    const Plaintext = Buffer.from(dataKey);
    kms.on(GenerateDataKeyCommand).resolves({ Plaintext, KeyId: arn, CiphertextBlob: Buffer.of(1) });
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    (await keyring.generateDataKey({ encryptionContext })).plaintext.fill(0);
    const again = await errorOf(() => keyring.generateDataKey({ encryptionContext }));
    expect(again).toEqual(coded("KMS_REQUEST_FAILED", { operation: "GenerateDataKey" }));
    expect(again.message).toBe(`KMS GenerateDataKey ${reused}`);
  });

  it("is refused with an explanation when Decrypt returns a zeroed data key", async () => {
    const Plaintext = Buffer.from(dataKey);
    kms
      .on(GenerateDataKeyCommand)
      .resolves({ Plaintext, KeyId: arn, CiphertextBlob: Buffer.of(1) })
      .on(DecryptCommand)
      .resolves({ Plaintext });
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    (await keyring.generateDataKey({ encryptionContext })).plaintext.fill(0);
    const opening = () => keyring.unwrapDataKey({ recipients: [recipient], encryptionContext });
    expect((await errorOf(opening)).message).toBe(`KMS Decrypt ${reused}`);
  });

  it("is accepted as long as the data key is not zeroed", async () => {
    kms.on(DecryptCommand).resolves({ Plaintext: dataKey });
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    for (let turn = 0; turn < 2; turn++) {
      expect(await keyring.unwrapDataKey({ recipients: [recipient], encryptionContext })).toEqual(dataKey);
    }
  });
});

describe("aborting a request to KMS", () => {
  it("passes a signal to the client with every request", async () => {
    kms
      .on(GenerateDataKeyCommand)
      .resolves({ Plaintext: dataKey, KeyId: arn, CiphertextBlob: Buffer.from("wrapped") })
      .on(DecryptCommand)
      .resolves({ Plaintext: dataKey });
    const { signal: abortSignal } = new AbortController();
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    await keyring.generateDataKey({ encryptionContext, abortSignal });
    await keyring.unwrapDataKey({ recipients: [recipient], encryptionContext, abortSignal });
    expect(kms.calls().map(({ args: [, options] }: { args: unknown[] }) => options)).toEqual([
      { abortSignal: expect.any(AbortSignal) },
      { abortSignal: expect.any(AbortSignal) },
    ]);
  });

  it("rejects with the reason before and during a request", async () => {
    const keyring = kmsKeyring({ kms: client, keyId: arn });
    const reason = new Error("enough");
    const early = AbortSignal.abort(reason);
    expect(await errorOf(() => keyring.generateDataKey({ encryptionContext, abortSignal: early }))).toBe(
      reason,
    );
    expect(kms.calls()).toHaveLength(0);

    const controller = new AbortController();
    kms.on(DecryptCommand).callsFake(() => {
      controller.abort(reason);
      throw Object.assign(new Error("aborted"), { name: "AbortError" });
    });
    const input = { recipients: [recipient], encryptionContext, abortSignal: controller.signal };
    expect(await errorOf(() => keyring.unwrapDataKey(input))).toBe(reason);
  });
});

describe("options of kmsKeyring", () => {
  it.each([
    [undefined, "options: expected an object, got undefined"],
    [{ keyId: arn }, "options.kms: expected a KMSClient, got undefined"],
    [{ kms: client }, "options.keyId: expected a string, got undefined"],
    [{ kms: client, keyId: "" }, "options.keyId: expected a non-empty string, got an empty one"],
    [
      { kms: client, keyId: arn, grantTokens: "x" },
      "options.grantTokens: expected an array of strings, got a string",
    ],
    [
      { kms: client, keyId: arn, grantTokens: [1] },
      "options.grantTokens[0]: expected a string, got the number 1",
    ],
  ])("refuse %#", (options, message) => {
    expect(() => kmsKeyring(options as never)).toThrow(message);
  });
});

function failure(name: string, httpStatusCode: number): KMSServiceException {
  return new KMSServiceException({
    name,
    $fault: "client",
    message: "said the service",
    $metadata: { httpStatusCode, requestId: "request-1" },
  });
}
