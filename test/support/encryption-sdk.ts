/** Messages of the AWS Encryption SDK as Amazon's own client for Node writes them. */
import { generateKeyPairSync } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import {
  AlgorithmSuiteIdentifier,
  buildClient,
  CommitmentPolicy,
  type KeyringNode,
  MultiKeyringNode,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  RawRsaKeyringNode,
} from "@aws-crypto/client-node";
import {
  decryptEncryptionSdkMessage,
  type EncryptionSdkOptions,
} from "../../src/encryption-sdk/decrypt-message.js";
import { collectUntilError, testBytes } from "./bytes.js";

/** A keyring on one AES key. */
export function aesKeyringNode(keyName = "aes-key", seed = 1): RawAesKeyringNode {
  return new RawAesKeyringNode({
    keyNamespace: "s3-envelope",
    keyName,
    // Amazon's keyring accepts only memory that is not shared.
    unencryptedMasterKey: new Uint8Array(testBytes(32, seed)),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  });
}

const rsaPair = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

/** A keyring on one RSA key pair, generated once in each process. */
export function rsaKeyringNode(keyName = "rsa-key"): RawRsaKeyringNode {
  return new RawRsaKeyringNode({
    keyNamespace: "s3-envelope",
    keyName,
    rsaKey: rsaPair,
    oaepHash: "sha256",
  });
}

/** A keyring that wraps under all of these. The first one generates the data key. */
export function multiKeyringNode(generator: KeyringNode, ...children: KeyringNode[]): MultiKeyringNode {
  return new MultiKeyringNode({ generator, children });
}

/** The names of the algorithm suites. */
export const suiteNames = Object.keys(AlgorithmSuiteIdentifier).filter((name) => name.startsWith("ALG_"));
export const committedUnsigned = "ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY";
export const committedSigned = `${committedUnsigned}_ECDSA_P384`;

/** The options of {@link writeMessage}. */
export interface WriteOptions {
  readonly suite?: string;
  readonly frameLength?: number;
  readonly encryptionContext?: Record<string, string>;
  readonly keyring?: KeyringNode;
}

/** Writes a message, by default with key commitment and without a signature. */
export async function writeMessage(
  plaintext: Uint8Array,
  {
    suite = committedUnsigned,
    frameLength = 4096,
    encryptionContext = {},
    keyring = aesKeyringNode(),
  }: WriteOptions = {},
): Promise<Buffer> {
  const { encrypt } = buildClient(
    suite.includes("COMMIT_KEY")
      ? CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
      : CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
  );
  const { result } = await encrypt(keyring, Buffer.from(plaintext), {
    suiteId: AlgorithmSuiteIdentifier[suite as keyof typeof AlgorithmSuiteIdentifier],
    frameLength,
    encryptionContext,
  });
  return result;
}

/** Reads a message to its end or its error, by default with an AES keyring and with or without key commitment. */
export async function readMessage(
  source: Parameters<typeof decryptEncryptionSdkMessage>[0],
  options: Partial<EncryptionSdkOptions> = {},
): Promise<{ released: Buffer; error: unknown }> {
  return collectUntilError(plaintextOf());

  async function* plaintextOf() {
    const { plaintext } = await decryptEncryptionSdkMessage(source, {
      keyring: aesKeyringNode(),
      commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
      ...options,
    });
    yield* plaintext;
  }
}

/** The plaintext of a message; rejects when there is an error. */
export async function decryptMessage(...input: Parameters<typeof readMessage>): Promise<Buffer> {
  const { released, error } = await readMessage(...input);
  if (error !== undefined) throw error;
  return released;
}

/** A vector of `test/vectors/esdk-python`. */
export interface PythonVector {
  readonly algorithmSuite: string;
  readonly encryptionContext: Record<string, string>;
  readonly keyNamespace: string;
  readonly keyNames: readonly string[];
  readonly aesKey: string;
  readonly rsaKey: string | null;
  readonly plaintext: string;
  readonly message: string;
}

const folder = new URL("../vectors/esdk-python/", import.meta.url);

/** The names of the files. */
export const pythonVectors = readdirSync(folder).filter((file) => file.endsWith(".json"));

/** Reads one of them. */
export function pythonVector(file: string): PythonVector {
  return JSON.parse(readFileSync(new URL(file, folder), "utf8")) as PythonVector;
}

/** A keyring on one key of a vector. */
export function pythonKeyring(
  { keyNamespace, aesKey, rsaKey }: PythonVector,
  keyName: string,
  utf8Sorting = true,
): KeyringNode {
  if (keyName === "rsa-key") {
    const privateKey = rsaKey ?? "";
    return new RawRsaKeyringNode({ keyNamespace, keyName, rsaKey: { privateKey }, oaepHash: "sha256" });
  }
  return new RawAesKeyringNode({
    keyNamespace,
    keyName,
    unencryptedMasterKey: new Uint8Array(Buffer.from(aesKey, "hex")),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    utf8Sorting,
  });
}
