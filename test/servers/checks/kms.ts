/** Checks of the KMS operations that this package uses or will use. */
import {
  CreateAliasCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type KMSClient,
  ReEncryptCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
} from "@aws-sdk/client-kms";
import { expect } from "vitest";
import { errorOf } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { idOf, newKey } from "../kms-context.js";

const EncryptionContext = { tenant: "ü", purpose: "check" };

async function nameOf(act: () => Promise<unknown>): Promise<string> {
  return (await errorOf(act)).name;
}

export const kmsChecks: readonly Check<KMSClient>[] = [
  {
    operation: "GenerateDataKey",
    name: "32 bytes that Decrypt gives back in their context",
    async run(kms) {
      const KeyId = await newKey(kms);
      const made = await kms.send(
        new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32, EncryptionContext }),
      );
      expect([made.Plaintext?.length, made.KeyId]).toEqual([32, KeyId]);
      const opened = await kms.send(
        new DecryptCommand({ KeyId, CiphertextBlob: made.CiphertextBlob, EncryptionContext }),
      );
      expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Buffer.from(made.Plaintext ?? []));
      expect(opened.KeyId).toBe(KeyId);
    },
  },
  {
    operation: "GenerateDataKeyWithoutPlaintext",
    name: "a key that only Decrypt tells",
    async run(kms) {
      const KeyId = await newKey(kms);
      const asked = { KeyId, NumberOfBytes: 32, EncryptionContext };
      const { CiphertextBlob } = await kms.send(new GenerateDataKeyWithoutPlaintextCommand(asked));
      const { Plaintext } = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob, EncryptionContext }));
      expect(Plaintext).toHaveLength(32);
    },
  },
  {
    operation: "Encrypt",
    name: "takes 4,096 bytes, and not one more",
    async run(kms) {
      const KeyId = await newKey(kms);
      const encrypt = (size: number) =>
        kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.alloc(size, 1) }));
      const { CiphertextBlob } = await encrypt(4096);
      const { Plaintext } = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob }));
      expect(Buffer.from(Plaintext ?? []).equals(Buffer.alloc(4096, 1))).toBe(true);
      expect(await nameOf(() => encrypt(4097))).toBe("ValidationException");
    },
  },
  {
    operation: "Decrypt",
    name: "without a key id: the blob names its key",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob } = await kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      expect((await kms.send(new DecryptCommand({ CiphertextBlob }))).KeyId).toBe(KeyId);
    },
  },
  {
    operation: "Decrypt",
    name: "another context is refused",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob } = await kms.send(
        new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32, EncryptionContext }),
      );
      const other = { KeyId, CiphertextBlob, EncryptionContext: { tenant: "other" } };
      expect(await nameOf(() => kms.send(new DecryptCommand(other)))).toBe("InvalidCiphertextException");
    },
  },
  {
    operation: "Decrypt",
    name: "another key is refused",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob } = await kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      const other = { KeyId: await newKey(kms), CiphertextBlob };
      expect(await nameOf(() => kms.send(new DecryptCommand(other)))).toBe("IncorrectKeyException");
    },
  },
  {
    operation: "Decrypt",
    name: "a changed blob is refused",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob } = await kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      const changed = Buffer.from(CiphertextBlob ?? []);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      expect(await nameOf(() => kms.send(new DecryptCommand({ KeyId, CiphertextBlob: changed })))).toBe(
        "InvalidCiphertextException",
      );
    },
  },
  {
    operation: "ReEncrypt",
    name: "under another key, which then opens it",
    async run(kms) {
      const [from, DestinationKeyId] = [await newKey(kms), await newKey(kms)];
      const Plaintext = Buffer.from("secret");
      const sealed = await kms.send(new EncryptCommand({ KeyId: from, Plaintext, EncryptionContext }));
      const moved = await kms.send(
        new ReEncryptCommand({
          CiphertextBlob: sealed.CiphertextBlob,
          SourceEncryptionContext: EncryptionContext,
          DestinationKeyId,
          DestinationEncryptionContext: EncryptionContext,
        }),
      );
      const opened = await kms.send(
        new DecryptCommand({
          KeyId: DestinationKeyId,
          CiphertextBlob: moved.CiphertextBlob,
          EncryptionContext,
        }),
      );
      expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe("secret");
    },
  },
  {
    operation: "ReEncrypt",
    name: "a wrong source context is refused",
    async run(kms) {
      const [from, DestinationKeyId] = [await newKey(kms), await newKey(kms)];
      const sealed = await kms.send(
        new EncryptCommand({ KeyId: from, Plaintext: Buffer.from("secret"), EncryptionContext }),
      );
      const { CiphertextBlob } = sealed;
      const moved = { CiphertextBlob, SourceEncryptionContext: { tenant: "other" }, DestinationKeyId };
      expect(await nameOf(() => kms.send(new ReEncryptCommand(moved)))).toBe("InvalidCiphertextException");
    },
  },
  {
    operation: "DisableKey",
    name: "a disabled key makes and opens nothing",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob } = await kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      await kms.send(new DisableKeyCommand({ KeyId: idOf(KeyId) }));
      const make = () => kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      expect(await nameOf(make)).toBe("DisabledException");
      expect(await nameOf(() => kms.send(new DecryptCommand({ KeyId, CiphertextBlob })))).toBe(
        "DisabledException",
      );
    },
  },
  {
    operation: "EnableKey",
    name: "a key that is enabled again opens what it had sealed",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob, Plaintext } = await kms.send(
        new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }),
      );
      await kms.send(new DisableKeyCommand({ KeyId: idOf(KeyId) }));
      await kms.send(new EnableKeyCommand({ KeyId: idOf(KeyId) }));
      const opened = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob }));
      expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Buffer.from(Plaintext ?? []));
    },
  },
  {
    operation: "ScheduleKeyDeletion",
    name: "a key pending deletion makes nothing",
    async run(kms) {
      const KeyId = await newKey(kms);
      await kms.send(new ScheduleKeyDeletionCommand({ KeyId: idOf(KeyId), PendingWindowInDays: 7 }));
      const make = () => kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      expect(await nameOf(make)).toBe("KMSInvalidStateException");
    },
  },
  {
    operation: "DescribeKey",
    name: "a key that is not there",
    async run(kms) {
      const KeyId = "00000000-0000-0000-0000-000000000000";
      expect(await nameOf(() => kms.send(new DescribeKeyCommand({ KeyId })))).toBe("NotFoundException");
      const make = () => kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }));
      expect(await nameOf(make)).toBe("NotFoundException");
    },
  },
  {
    operation: "CreateAlias",
    name: "an alias stands for its key",
    async run(kms) {
      const KeyId = await newKey(kms);
      const AliasName = `alias/check-${Date.now()}`;
      await kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: KeyId }));
      const made = await kms.send(new GenerateDataKeyCommand({ KeyId: AliasName, NumberOfBytes: 32 }));
      expect(made.KeyId).toBe(KeyId);
    },
  },
  {
    operation: "RotateKeyOnDemand",
    name: "old ciphertexts are opened after it",
    async run(kms) {
      const KeyId = await newKey(kms);
      const { CiphertextBlob, Plaintext } = await kms.send(
        new GenerateDataKeyCommand({ KeyId, NumberOfBytes: 32 }),
      );
      await kms.send(new RotateKeyOnDemandCommand({ KeyId }));
      const opened = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob }));
      expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Buffer.from(Plaintext ?? []));
    },
  },
];
