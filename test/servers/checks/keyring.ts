/** Checks of `kmsKeyring` over a KMS. */
import {
  CreateAliasCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  type KMSClient,
  ScheduleKeyDeletionCommand,
} from "@aws-sdk/client-kms";
import { expect } from "vitest";
import { type ErrorCode, kmsKeyring } from "../../../src/index.js";
import { coded, errorOf } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { idOf, newKey } from "../kms-context.js";

const operation = "kmsKeyring";
const encryptionContext = { tenant: "ü", purpose: "check" };

/** Makes a data key under a new KMS key, and tells whether a keyring unwraps it. */
async function wrapped(kms: KMSClient) {
  const keyId = await newKey(kms);
  const keyring = kmsKeyring({ kms, keyId });
  const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext });
  const unwrap = (by = keyring, context: Record<string, string> = encryptionContext) =>
    by.unwrapDataKey({ recipients, encryptionContext: context });
  return { keyId, keyring, plaintext, recipients, unwrap };
}

function refuses(name: string, code: ErrorCode, change: (kms: KMSClient, KeyId: string) => Promise<unknown>) {
  return {
    operation,
    name,
    async run(kms: KMSClient) {
      const { keyId, keyring, unwrap } = await wrapped(kms);
      await change(kms, idOf(keyId));
      expect(await errorOf(() => unwrap())).toEqual(coded(code));
      expect(await errorOf(() => keyring.generateDataKey({ encryptionContext }))).toEqual(coded(code));
    },
  };
}

export const keyringChecks: readonly Check<KMSClient>[] = [
  {
    operation,
    name: "a data key that is opened again, by ARN, by id and by alias",
    async run(kms) {
      const { keyId, plaintext, recipients, unwrap } = await wrapped(kms);
      expect(plaintext).toHaveLength(32);
      expect(recipients).toMatchObject([{ provider: "aws-kms", keyId }]);
      const alias = `alias/keyring-${Date.now()}`;
      await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: keyId }));
      for (const name of [keyId, idOf(keyId), alias]) {
        const opened = await unwrap(kmsKeyring({ kms, keyId: name }));
        expect(Buffer.from(opened ?? [])).toEqual(Buffer.from(plaintext));
      }
    },
  },
  {
    operation,
    name: "another context is refused",
    async run(kms) {
      const { keyring, unwrap } = await wrapped(kms);
      const act = () => unwrap(keyring, { ...encryptionContext, tenant: "other" });
      expect(await errorOf(act)).toEqual(coded("KMS_CIPHERTEXT_REJECTED"));
    },
  },
  {
    operation,
    name: "a key of another keyring is not asked for",
    async run(kms) {
      const { unwrap } = await wrapped(kms);
      expect(await unwrap(kmsKeyring({ kms, keyId: await newKey(kms) }))).toBeNull();
    },
  },
  refuses("a disabled key", "KMS_KEY_UNUSABLE", (kms, KeyId) => kms.send(new DisableKeyCommand({ KeyId }))),
  refuses("a key pending deletion", "KMS_KEY_UNUSABLE", (kms, KeyId) =>
    kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 })),
  ),
  {
    operation,
    name: "a key that was disabled and is enabled again",
    async run(kms) {
      const { keyId, plaintext, unwrap } = await wrapped(kms);
      const KeyId = idOf(keyId);
      await kms.send(new DisableKeyCommand({ KeyId }));
      await kms.send(new EnableKeyCommand({ KeyId }));
      expect(Buffer.from((await unwrap()) ?? [])).toEqual(Buffer.from(plaintext));
    },
  },
  {
    operation,
    name: "a key that is not there",
    async run(kms) {
      const keyring = kmsKeyring({ kms, keyId: "00000000-0000-0000-0000-000000000000" });
      const act = () => keyring.generateDataKey({ encryptionContext });
      expect(await errorOf(act)).toEqual(coded("KMS_KEY_NOT_FOUND"));
    },
  },
];
