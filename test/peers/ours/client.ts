/** This library as a client of the test protocol. */
import { createPrivateKey, randomBytes } from "node:crypto";
import type { KMSClient } from "@aws-sdk/client-kms";
import type { S3Client } from "@aws-sdk/client-s3";
import { aesKeyring, EnvelopeClient } from "../../../src/index.js";
import {
  type LegacyKeyring,
  type LegacyReadingOptions,
  LegacyWriter,
  type LegacyWriterOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyReading,
  legacyRsaKeyring,
} from "../../../src/legacy.js";
import type { LegacyPeer, LegacyPeerClient } from "../legacy-peer.js";
import type { ClientConfig, KeyMaterial } from "../protocol.js";

type Policy = Pick<
  LegacyReadingOptions,
  "commitmentPolicy" | "enableLegacyUnauthenticatedModes" | "enableLegacyWrappingAlgorithms"
>;

/** Clients of this library over S3 and KMS. */
export function ourPeer(s3: S3Client, kms: KMSClient): LegacyPeer {
  return { createClient: async (config) => client(s3, kms, config) };
}

function client(s3: S3Client, kms: KMSClient, config: ClientConfig): LegacyPeerClient {
  const keyring = keyringOf(kms, config.keyMaterial);
  const policy = given({
    commitmentPolicy: config.commitmentPolicy,
    enableLegacyUnauthenticatedModes: config.enableLegacyUnauthenticatedModes,
    enableLegacyWrappingAlgorithms: config.enableLegacyWrappingAlgorithms,
  }) as Policy;
  const { enableInstructionFilePutObject = false, disableInstructionFile = false } =
    config.instructionFileConfig ?? {};
  if (enableInstructionFilePutObject && disableInstructionFile) {
    throw new RangeError("instructionFileConfig: expected not to write what it does not read");
  }
  const algorithm = config.encryptionAlgorithm as LegacyWriterOptions["encryptionAlgorithm"];
  const writer = new LegacyWriter({
    s3,
    keyring,
    instructionFile: enableInstructionFilePutObject,
    ...policy,
    ...given({ encryptionAlgorithm: algorithm }),
  });
  const options: LegacyReadingOptions = {
    keyring,
    disableInstructionFile,
    enableCbcRewrappedByJava: config.peer?.cbcRewrappedByJava === "true",
    ...policy,
    ...given({
      maxBufferedObjectBytes: config.setBufferSize,
      releaseUnverifiedPlaintext: config.enableDelayedAuthenticationMode,
    }),
  };
  const readerWith = (more: Partial<LegacyReadingOptions>) =>
    new EnvelopeClient({ s3, keyring: nobodysKeyring, legacy: legacyReading({ ...options, ...more }) });
  const reader = readerWith({});
  return {
    async put(Bucket, Key, Body, { context }) {
      await writer.put({ Bucket, Key, Body, ...stated(context) });
    },
    async get(Bucket, Key, { context, range: Range, instructionFileSuffix }) {
      const its = instructionFileSuffix === undefined ? reader : readerWith({ instructionFileSuffix });
      const { Body } = await its.get({ Bucket, Key, ...given({ Range }), ...stated(context) });
      return Body.transformToByteArray();
    },
    async reencrypt(Bucket, Key, { keyMaterial, instructionFileSuffix, enforceRotation }) {
      const newKeyring = keyringOf(kms, keyMaterial);
      const more = given({ instructionFileSuffix });
      // Whoever reads AES/CBC has said that nothing need authenticate it.
      const verifyContent = config.enableLegacyUnauthenticatedModes ? "never" : "when-needed";
      const input = { Bucket, Key, newKeyring, enforceRotation, verifyContent, ...more } as const;
      await writer.reEncryptInstructionFile(input);
    },
  };
}

/** Reads nothing: the suite knows no native objects. */
const nobodysKeyring = aesKeyring({ keyId: "nobody's", wrappingKey: randomBytes(32) });

function keyringOf(kms: KMSClient, material: KeyMaterial): LegacyKeyring {
  const { aesKey, rsaKey, kmsKeyId = "", materialsDescription } = material;
  const described = given({ materialsDescription });
  if (aesKey !== undefined) {
    return legacyAesKeyring({ wrappingKey: Buffer.from(aesKey, "base64"), ...described });
  }
  if (rsaKey !== undefined) {
    const der = { key: Buffer.from(rsaKey, "base64"), format: "der", type: "pkcs8" } as const;
    return legacyRsaKeyring({ privateKey: createPrivateKey(der), ...described });
  }
  return legacyKmsKeyring({ kms, keyId: kmsKeyId });
}

/** The protocol does not tell an empty context from none. */
function stated(context: Readonly<Record<string, string>>) {
  return Object.keys(context).length === 0 ? {} : { encryptionContext: context };
}

/** Without what is undefined. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const there = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
