import {
  AwsKmsMrkAwareSymmetricDiscoveryKeyringNode,
  AwsKmsMrkAwareSymmetricKeyringNode,
  type KeyringNode,
  KmsKeyringNode,
} from "@aws-crypto/client-node";
import { CreateKeyCommand, DisableKeyCommand, KMS } from "@aws-sdk/client-kms";
import { afterAll, describe, expect, it } from "vitest";
import { decryptEncryptionSdkMessage } from "../../src/encryption-sdk/decrypt-message.js";
import { cut, expectBytes, testBytes } from "../support/bytes.js";
import {
  aesKeyringNode,
  committedSigned,
  committedUnsigned,
  decryptMessage,
  multiKeyringNode,
  readMessage,
  writeMessage,
} from "../support/encryption-sdk.js";
import { coded, errorOf } from "../support/errors.js";
import { useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";

const local = useLocalAws();
const clients: KMS[] = [];
afterAll(() => {
  for (const client of clients) client.destroy();
});

function kmsClient(): KMS {
  const client = new KMS({ ...local.aws.kmsConfig, maxAttempts: 1 });
  clients.push(client);
  return client;
}
const clientProvider = () => kmsClient();
const strict = (generatorKeyId = local.keyArn) => new KmsKeyringNode({ clientProvider, generatorKeyId });
const encryptionContext = { tenant: "42", name: "Größe ☃ \u{1f511}" };

async function write(options: { keyring?: KeyringNode; suite?: string } = {}): Promise<Buffer> {
  const message = await writeMessage(testBytes(100), { keyring: strict(), encryptionContext, ...options });
  local.aws.clearRequests();
  return message;
}

async function newKey(): Promise<string> {
  const { KeyMetadata } = await local.aws.kms.send(new CreateKeyCommand({}));
  return KeyMetadata?.Arn ?? "";
}

describe("KMS keyrings of the AWS Encryption SDK", () => {
  const keyrings: [name: string, make: () => KeyringNode][] = [
    ["KmsKeyringNode", strict],
    ["KmsKeyringNode in discovery mode", () => new KmsKeyringNode({ clientProvider, discovery: true })],
    [
      "AwsKmsMrkAwareSymmetricKeyringNode",
      () => new AwsKmsMrkAwareSymmetricKeyringNode({ client: kmsClient(), keyId: local.keyArn }),
    ],
    [
      "AwsKmsMrkAwareSymmetricDiscoveryKeyringNode",
      () =>
        new AwsKmsMrkAwareSymmetricDiscoveryKeyringNode({
          client: kmsClient(),
          discoveryFilter: { partition: "aws", accountIDs: [local.keyArn.split(":")[4] ?? ""] },
        }),
    ],
    ["MultiKeyringNode", () => multiKeyringNode(aesKeyringNode("other"), multiKeyringNode(strict()))],
  ];

  it.each(keyrings)("a message is decrypted with one request to KMS: %s", async (_, make) => {
    for (const suite of [committedUnsigned, committedSigned]) {
      const message = await write({ suite });
      expectBytes(await decryptMessage(message, { keyring: make(), encryptionContext }), testBytes(100));
      expect(local.operations()).toEqual(["Decrypt"]);
    }
  });

  it.each(keyrings)("errors of KMS are mapped to codes: %s", async (_, make) => {
    const message = await write();
    local.aws.fault({ service: "kms", status: 400, code: "AccessDeniedException", message: "no" });
    const { error } = await readMessage(message, { keyring: make(), encryptionContext });
    expect(error).toEqual(
      coded("KMS_ACCESS_DENIED", {
        operation: "Decrypt",
        keyId: local.keyArn,
        serviceError: "AccessDeniedException",
        requestId: expect.any(String),
      }),
    );
    expect((error as Error).cause).toMatchObject({ name: "AccessDeniedException" });
    expect(JSON.stringify(error)).not.toContain("Größe");
  });

  it("errors of KMS are retryable or not", async () => {
    const message = await write();
    const read = async () => (await readMessage(message, { keyring: strict(), encryptionContext })).error;
    local.aws.fault({ service: "kms", status: 400, code: "ThrottlingException" });
    expect(await read()).toEqual(coded("KMS_UNAVAILABLE"));
    local.aws.fault({ service: "kms", reset: "before" });
    expect(await read()).toEqual(coded("KMS_UNAVAILABLE"));
    local.aws.fault({ service: "kms", status: 400, code: "InvalidCiphertextException" });
    expect(await read()).toEqual(coded("KMS_CIPHERTEXT_REJECTED"));
    const disabled = await newKey();
    const other = await write({ keyring: strict(disabled) });
    await local.aws.kms.send(new DisableKeyCommand({ KeyId: disabled }));
    const { error } = await readMessage(other, { keyring: strict(disabled), encryptionContext });
    expect(error).toEqual(coded("KMS_KEY_UNUSABLE"));
  });

  it("a response of KMS without a key is an error", async () => {
    const message = await write();
    const kms = kmsClient();
    kms.decrypt = (async () => ({ $metadata: {} })) as typeof kms.decrypt;
    const keyring = new KmsKeyringNode({ clientProvider: () => kms, generatorKeyId: local.keyArn });
    const { error } = await readMessage(message, { keyring, encryptionContext });
    expect(error).toEqual(coded("KMS_REQUEST_FAILED", { keyId: local.keyArn }));
  });

  it("KMS is not called for another context or a malformed message", async () => {
    const message = await write();
    const expected = { ...encryptionContext, tenant: "43" };
    expect((await readMessage(message, { keyring: strict(), encryptionContext: expected })).error).toEqual(
      coded("CONTEXT_MISMATCH", { differing: ["tenant"] }),
    );
    const uncommitted = await write({ suite: "ALG_AES256_GCM_IV12_TAG16_HKDF_SHA256" });
    const commitmentPolicy = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT";
    expect(
      (await readMessage(uncommitted, { keyring: strict(), encryptionContext, commitmentPolicy })).error,
    ).toEqual(coded("LEGACY_REFUSED"));
    expect(local.operations()).toEqual([]);
  });

  it("KMS is not called for data keys of other keys", async () => {
    const message = await write();
    const keyring = strict(await newKey());
    local.operations();
    expect((await readMessage(message, { keyring, encryptionContext })).error).toEqual(
      coded("KEY_NOT_FOR_OBJECT", { recipients: [`aws-kms ${local.keyArn}`] }),
    );
    expect(local.operations()).toEqual([]);
  });

  it("the next keyring is tried after a failure of KMS", async () => {
    const both = multiKeyringNode(strict(), aesKeyringNode());
    const message = await write({ keyring: both });
    local.aws.fault({ service: "kms", status: 400, code: "AccessDeniedException" });
    expectBytes(await decryptMessage(message, { keyring: both, encryptionContext }), testBytes(100));
  });

  it("a retryable failure is reported before others", async () => {
    const both = multiKeyringNode(strict(), strict(await newKey()));
    const message = await write({ keyring: both });
    local.aws.fault({ service: "kms", status: 400, code: "AccessDeniedException" });
    local.aws.fault({ service: "kms", status: 400, code: "ThrottlingException" });
    const { error } = await readMessage(message, { keyring: both, encryptionContext });
    expect(error).toEqual(coded("KMS_UNAVAILABLE"));
    expect(local.operations()).toEqual(["Decrypt", "Decrypt"]);
  });

  it("a KMS request ends with the signal", async () => {
    const message = await write();
    local.aws.hold({ service: "kms", operation: "Decrypt", times: 2 });
    const controller = new AbortController();
    const reason = new Error("enough");
    const kms = kmsClient();
    const decrypt = kms.decrypt.bind(kms) as (...input: unknown[]) => Promise<unknown>;
    const ended: unknown[] = [];
    // Aborts once the request has been sent, and records how the request ends.
    kms.decrypt = ((...input: unknown[]) => {
      const answer = decrypt(...input);
      answer.catch((error: Error) => ended.push(error.name));
      setImmediate(() => controller.abort(reason));
      return answer;
    }) as typeof kms.decrypt;
    const keyring = new KmsKeyringNode({ clientProvider: () => kms, generatorKeyId: local.keyArn });
    const input = { keyring, encryptionContext, abortSignal: controller.signal };
    expect(await errorOf(() => decryptEncryptionSdkMessage(cut(message, 10), input))).toBe(reason);
    await until(() => expect(ended).toEqual(["AbortError"]));
  });
});
