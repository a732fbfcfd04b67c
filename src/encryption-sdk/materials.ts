/** Unwraps the data key of an AWS Encryption SDK message with a keyring of `@aws-crypto/client-node`. */
import type * as ClientNode from "@aws-crypto/client-node";
import { untilAborted } from "../base/abort.js";
import { wrongType } from "../base/arguments.js";
import { printable } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { notAuthentic, type SdkMessageKeys, verified } from "./body.js";
import type { MessageHeader } from "./header.js";
import { ObservedKeyring } from "./observed-keyring.js";

/** The keys of a message, which the caller disposes of after use. */
export interface DisposableKeys extends SdkMessageKeys {
  /** Zeroes the data key. */
  dispose(): void;
}

/** Unwraps data keys with one keyring. */
export interface Unwrapper {
  /**
   * Unwraps the data key, compares the commitment and verifies the header.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`, `KMS_*`, or the keyring's own EnvelopeError
   */
  unwrap(header: MessageHeader, signal: AbortSignal | undefined): Promise<DisposableKeys>;
}

/**
 * Loads `@aws-crypto/client-node`, which only users of this function need to install.
 *
 * @throws TypeError when the package is not installed, or the keyring is not of it
 */
export async function loadUnwrapper(keyring: unknown): Promise<Unwrapper> {
  const client = await load();
  if (!(keyring instanceof client.KeyringNode)) {
    throw wrongType(
      "options.keyring",
      "a keyring of the @aws-crypto/client-node that is installed beside s3-envelope",
      keyring,
    );
  }
  return { unwrap: (header, signal) => unwrap(client, keyring, header, signal) };
}

async function load(): Promise<typeof ClientNode> {
  try {
    return await import("@aws-crypto/client-node");
  } catch (cause) {
    if ((cause as { code?: unknown } | null)?.code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new TypeError(
      "options.keyring: messages of the AWS Encryption SDK need its package: npm install @aws-crypto/client-node@^5.0.1",
      { cause },
    );
  }
}

async function unwrap(
  client: typeof ClientNode,
  keyring: ClientNode.KeyringNode,
  header: MessageHeader,
  signal: AbortSignal | undefined,
): Promise<DisposableKeys> {
  const material = await decryptMaterials(client, keyring, header, signal);
  const { getDecipherInfo, getVerify, dispose } = client.getDecryptionHelper(material);
  try {
    const decipherOf = verified(() => getDecipherInfo(header.messageId, header.commitment));
    const keys = keysOf(decipherOf, getVerify);
    const authenticated = Buffer.concat([header.authenticated, header.required]);
    verified(() => keys.open(header.iv, authenticated, Buffer.alloc(0), header.tag));
    return { ...keys, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

async function decryptMaterials(
  client: typeof ClientNode,
  keyring: ClientNode.KeyringNode,
  header: MessageHeader,
  signal: AbortSignal | undefined,
): Promise<ClientNode.NodeDecryptionMaterial> {
  const { encryptionContext, wrappedDataKeys, suite } = header;
  const encryptedDataKeys = wrappedDataKeys.map(
    ({ providerId, providerInfo, ciphertext }) =>
      new client.EncryptedDataKey({
        providerId,
        providerInfo: providerInfo.toString(),
        rawInfo: providerInfo,
        encryptedDataKey: ciphertext,
      }),
  );
  const observed = new ObservedKeyring(client, keyring, signal);
  const manager = new client.NodeDefaultCryptographicMaterialsManager(observed.keyring);
  const materials = async () =>
    manager.decryptMaterials({
      suite: new client.NodeAlgorithmSuite(suite.id),
      encryptionContext: { ...encryptionContext },
      encryptedDataKeys,
    });
  const pending = materials();
  try {
    return await (signal ? untilAborted(signal, pending) : pending);
  } catch (error) {
    // A keyring that does not observe the signal may still resolve.
    pending.then(
      (late) => late.zeroUnencryptedDataKey(),
      () => undefined,
    );
    signal?.throwIfAborted();
    throw unwrapError(error, observed, header);
  }
}

/**
 * Maps the failure of a keyring. Of keys in memory the error reveals only what is public: whether the message names such
 * a key. More would show the author of a forged message how far its unwrapping went.
 */
function unwrapError(cause: unknown, observed: ObservedKeyring, header: MessageHeader): EnvelopeError {
  if (cause instanceof EnvelopeError) return cause;
  const failure = observed.failures.find(({ retryable }) => retryable) ?? observed.failures[0];
  if (failure) return failure;
  const hasRawKey = header.wrappedDataKeys.some((dataKey) => observed.hasRawKeyFor(dataKey));
  if (observed.hasCalledKms || hasRawKey) return notAuthentic();
  if (observed.hasForeignKeyring) return notAuthentic({ cause });
  const recipients = header.wrappedDataKeys.map(
    // Binary parameters follow the name of an AES key.
    ({ providerId, providerInfo }) => printable(`${providerId} ${providerInfo}`.replace(/\0.*/s, "")),
  );
  return new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    `the keyring has none of the keys that this message was encrypted for: ${recipients.join(", ")}`,
    { details: { recipients } },
  );
}

function keysOf(
  decipherOf: ClientNode.GetDecipher,
  getVerify: ClientNode.GetVerify | undefined,
): SdkMessageKeys {
  const verifier = getVerify && verified(() => getVerify());
  return {
    open(iv, authenticated, ciphertext, tag) {
      const decipher = decipherOf(iv).setAAD(authenticated).setAuthTag(tag);
      const plaintext = decipher.update(ciphertext);
      try {
        decipher.final();
      } catch (error) {
        plaintext.fill(0);
        throw error;
      }
      return plaintext;
    },
    sign: verifier && ((bytes) => void verifier.update(bytes)),
    isSignature: verifier && ((signature) => verifier.awsCryptoVerify(signature)),
  };
}
