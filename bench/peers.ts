/** Other people's packages as ways to encrypt: the AWS Encryption SDK for JavaScript, and age. */
import { randomBytes } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { ReadableStream } from "node:stream/web";
import {
  AlgorithmSuiteIdentifier,
  buildClient,
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
} from "@aws-crypto/client-node";
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { formatBytes, mebibyte, readable, writable } from "./bytes.js";
import { names, type Way } from "./ways.js";

const keyring = new RawAesKeyringNode({
  keyNamespace: "bench",
  keyName: "bench",
  unencryptedMasterKey: new Uint8Array(randomBytes(32)),
  wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
});

/** The settings of ESDK-JS. */
interface EsdkSetting {
  readonly suiteId?: AlgorithmSuiteIdentifier;
  readonly frameLength?: number;
}

const committing = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
const uncommitted = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA256;

/** Signed and committing, in frames of 4 KiB. */
export const esdkDefault = esdk(names.esdkDefault, {});
/** Committing and not signed, in the frames that proved fastest (bench table esdk-settings). */
export const esdkBest = esdk(names.esdkBest, { suiteId: committing, frameLength: 4 * mebibyte });

/** The settings that were tried to find the best one. */
export const esdkSettings: readonly Way[] = [
  ...[4096, 65_536, mebibyte, 4 * mebibyte, 16 * mebibyte].map((frameLength) =>
    esdk(`committing, frames of ${formatBytes(frameLength)}`, { suiteId: committing, frameLength }),
  ),
  esdk("no commitment, frames of 1 MiB", { suiteId: uncommitted, frameLength: mebibyte }),
  esdk("signed, frames of 1 MiB", { frameLength: mebibyte }),
];

function esdk(name: string, setting: EsdkSetting): Way {
  const policy =
    setting.suiteId === uncommitted
      ? CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
      : CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT;
  const { encryptStream, decryptStream } = buildClient(policy);
  return {
    name,
    seal: async (source, sink) => {
      await pipeline(readable(source), encryptStream(keyring, setting), writable(sink));
      return (sealed, plaintext) => pipeline(readable(sealed), decryptStream(keyring), writable(plaintext));
    },
  };
}

const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);

/** age with an X25519 key: ChaCha20-Poly1305 in chunks of 64 KiB, in JavaScript. */
export const age: Way = {
  name: "age-encryption",
  seal: async (source, sink) => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    for await (const bytes of await encrypter.encrypt(ReadableStream.from(source))) sink(bytes);
    return async (sealed, plaintext) => {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      for await (const bytes of await decrypter.decrypt(ReadableStream.from(sealed))) plaintext(bytes);
    };
  },
};
