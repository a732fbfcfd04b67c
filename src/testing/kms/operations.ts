/** The operations of the in-process KMS: JSON in, JSON out. */
import { randomBytes } from "node:crypto";
import { blob, context, type Input, type Output, optionalText, text } from "./input.js";
import { type Key, type KeyStore, kmsFault, requireUsable } from "./key-store.js";
import { listingOperations } from "./listing.js";
import { optionalPolicy, tagsOf } from "./policy.js";

const maxPlaintextBytes = 4096;
const maxBlobBytes = 6144;
const maxRotations = 25;
const symmetric = "SYMMETRIC_DEFAULT";

/** All operations by name. */
export const operations: Readonly<Record<string, (store: KeyStore, input: Input) => Output>> = {
  ...listingOperations,
  CreateKey(store, input) {
    const spec = input.KeySpec ?? input.CustomerMasterKeySpec ?? "SYMMETRIC_DEFAULT";
    const usage = input.KeyUsage ?? "ENCRYPT_DECRYPT";
    if (spec !== "SYMMETRIC_DEFAULT" || usage !== "ENCRYPT_DECRYPT" || input.MultiRegion === true) {
      throw kmsFault("UnsupportedOperationException", "only symmetric encryption keys of one Region");
    }
    if ((input.Origin ?? "AWS_KMS") !== "AWS_KMS") {
      throw kmsFault(
        "UnsupportedOperationException",
        `CreateKey with Origin ${input.Origin} is not implemented here.`,
      );
    }
    const [policy, tags] = [optionalPolicy(input), tagsOf(input)];
    return { KeyMetadata: metadata(store.create(optionalText(input, "Description") ?? "", policy, tags)) };
  },
  DescribeKey: (store, input) => ({ KeyMetadata: metadata(store.find(text(input, "KeyId"))) }),
  CreateAlias(store, input) {
    store.setAlias(text(input, "AliasName"), text(input, "TargetKeyId"), false);
    return {};
  },
  UpdateAlias(store, input) {
    store.setAlias(text(input, "AliasName"), text(input, "TargetKeyId"), true);
    return {};
  },
  DeleteAlias(store, input) {
    store.deleteAlias(text(input, "AliasName"));
    return {};
  },
  EnableKey: (store, input) => setState(store.findKey(text(input, "KeyId")), "Enabled"),
  DisableKey: (store, input) => setState(store.findKey(text(input, "KeyId")), "Disabled"),
  ScheduleKeyDeletion(store, input) {
    const key = notPending(store.findKey(text(input, "KeyId")));
    const days = input.PendingWindowInDays ?? 30;
    if (typeof days !== "number" || !Number.isInteger(days) || days < 7 || days > 30) {
      throw kmsFault("ValidationException", "PendingWindowInDays must be 7 to 30");
    }
    key.state = "PendingDeletion";
    key.deletionDate = new Date(Date.now() + days * 86_400_000);
    const DeletionDate = key.deletionDate.getTime() / 1000;
    return { KeyId: key.arn, DeletionDate, KeyState: key.state, PendingWindowInDays: days };
  },
  CancelKeyDeletion(store, input) {
    const key = store.findKey(text(input, "KeyId"));
    if (key.state !== "PendingDeletion") {
      throw kmsFault("KMSInvalidStateException", `${key.arn} is not pending deletion.`);
    }
    key.state = "Disabled";
    key.deletionDate = undefined;
    return { KeyId: key.arn };
  },
  GenerateDataKey(store, input) {
    const { key, plaintext, CiphertextBlob } = newDataKey(store, input);
    return { KeyId: key.arn, Plaintext: plaintext.toString("base64"), CiphertextBlob };
  },
  GenerateDataKeyWithoutPlaintext(store, input) {
    const { key, CiphertextBlob } = newDataKey(store, input);
    return { KeyId: key.arn, CiphertextBlob };
  },
  Encrypt(store, input) {
    requireSymmetric(input, "EncryptionAlgorithm");
    const key = store.usable(text(input, "KeyId"));
    const plaintext = blob(input, "Plaintext", maxPlaintextBytes);
    const CiphertextBlob = store
      .encrypt(key, plaintext, context(input, "EncryptionContext"))
      .toString("base64");
    return { KeyId: key.arn, CiphertextBlob, EncryptionAlgorithm: symmetric };
  },
  Decrypt(store, input) {
    requireSymmetric(input, "EncryptionAlgorithm");
    const ciphertext = blob(input, "CiphertextBlob", maxBlobBytes);
    const { key, plaintext } = store.decrypt(
      ciphertext,
      context(input, "EncryptionContext"),
      optionalText(input, "KeyId"),
    );
    return {
      KeyId: key.arn,
      Plaintext: plaintext.toString("base64"),
      EncryptionAlgorithm: symmetric,
    };
  },
  ReEncrypt(store, input) {
    requireSymmetric(input, "SourceEncryptionAlgorithm");
    requireSymmetric(input, "DestinationEncryptionAlgorithm");
    const ciphertext = blob(input, "CiphertextBlob", maxBlobBytes);
    const from = context(input, "SourceEncryptionContext");
    const { key: source, plaintext } = store.decrypt(ciphertext, from, optionalText(input, "SourceKeyId"));
    const key = store.usable(text(input, "DestinationKeyId"));
    const wrapped = store.encrypt(key, plaintext, context(input, "DestinationEncryptionContext"));
    return {
      CiphertextBlob: wrapped.toString("base64"),
      SourceKeyId: source.arn,
      KeyId: key.arn,
      SourceEncryptionAlgorithm: symmetric,
      DestinationEncryptionAlgorithm: symmetric,
    };
  },
  EnableKeyRotation(store, input) {
    requireUsable(store.findKey(text(input, "KeyId"))).rotationEnabled = true;
    return {};
  },
  DisableKeyRotation(store, input) {
    requireUsable(store.findKey(text(input, "KeyId"))).rotationEnabled = false;
    return {};
  },
  GetKeyRotationStatus(store, input) {
    const key = store.findKey(text(input, "KeyId"));
    return { KeyId: key.arn, KeyRotationEnabled: key.rotationEnabled };
  },
  RotateKeyOnDemand(store, input) {
    const key = requireUsable(store.findKey(text(input, "KeyId")));
    if (key.versions.length > maxRotations) {
      throw kmsFault("LimitExceededException", `${key.arn} was rotated ${maxRotations} times on demand.`);
    }
    key.versions.push(randomBytes(32));
    return { KeyId: key.arn };
  },
};

function newDataKey(store: KeyStore, input: Input): { key: Key; plaintext: Buffer; CiphertextBlob: string } {
  const key = store.usable(text(input, "KeyId"));
  const plaintext = randomBytes(dataKeyBytes(input));
  const wrapped = store.encrypt(key, plaintext, context(input, "EncryptionContext"));
  return { key, plaintext, CiphertextBlob: wrapped.toString("base64") };
}

function dataKeyBytes({ KeySpec, NumberOfBytes }: Input): number {
  if (KeySpec !== undefined && NumberOfBytes !== undefined) {
    throw kmsFault("ValidationException", "KeySpec or NumberOfBytes, not both");
  }
  if (KeySpec === "AES_256") return 32;
  if (KeySpec === "AES_128") return 16;
  const given = typeof NumberOfBytes === "number" && Number.isInteger(NumberOfBytes);
  if (given && NumberOfBytes >= 1 && NumberOfBytes <= 1024) return NumberOfBytes;
  throw kmsFault("ValidationException", "KeySpec AES_256 or AES_128, or NumberOfBytes 1 to 1024");
}

function requireSymmetric(input: Input, field: string): void {
  const algorithm = input[field] ?? symmetric;
  if (algorithm !== symmetric) {
    throw kmsFault("InvalidKeyUsageException", `${field} ${algorithm} is not one of a symmetric key`);
  }
}

function setState(key: Key, state: "Enabled" | "Disabled"): Output {
  notPending(key).state = state;
  return {};
}

function notPending(key: Key): Key {
  if (key.state !== "PendingDeletion") return key;
  throw kmsFault("KMSInvalidStateException", `${key.arn} is pending deletion.`);
}

function metadata(key: Key): Output {
  return {
    KeyId: key.id,
    Arn: key.arn,
    AWSAccountId: key.arn.split(":")[4],
    CreationDate: key.created.getTime() / 1000,
    DeletionDate: key.deletionDate && key.deletionDate.getTime() / 1000,
    Description: key.description,
    Enabled: key.state === "Enabled",
    KeyManager: "CUSTOMER",
    CustomerMasterKeySpec: symmetric,
    EncryptionAlgorithms: [symmetric],
    KeySpec: symmetric,
    KeyState: key.state,
    KeyUsage: "ENCRYPT_DECRYPT",
    MultiRegion: false,
    Origin: "AWS_KMS",
  };
}
