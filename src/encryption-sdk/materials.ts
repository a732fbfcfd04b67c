/** The data key of an AWS Encryption SDK message, by the keyrings of `@aws-crypto/client-node`. */
import type * as ClientNode from "@aws-crypto/client-node";
import { untilAborted } from "../base/abort.js";
import { wrongType } from "../base/arguments.js";
import { printable } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { notAuthentic, type SdkMessageKeys, verified } from "./body.js";
import type { MessageHeader } from "./header.js";
import { observe, type UnwrapAttempts } from "./observed-keyring.js";

/** The keys of a message, and what zeroes its data key. */
export interface DisposableKeys extends SdkMessageKeys {
  dispose(): void;
}

/** Unwraps data keys with one keyring. */
export interface Unwrapper {
  /**
   * Unwraps the data key, compares the commitment and verifies the header.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`, `KMS_*`; what the keyring throws, if that is one
   */
  unwrap(header: MessageHeader, signal: AbortSignal | undefined): Promise<DisposableKeys>;
}

/**
 * Loads the package, which users of nothing else need not install.
 *
 * @throws TypeError when it is not installed, or the keyring is none of it
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
  const observed = observe(client, keyring, signal);
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
    // A keyring that knows nothing of signals may still come to an end.
    pending.then(
      (late) => late.zeroUnencryptedDataKey(),
      () => undefined,
    );
    signal?.throwIfAborted();
    throw unwrapError(error, observed.attempts, header);
  }
}

/**
 * Says of keyrings that hold a key in memory only what anybody can see, whether the message names that key:
 * more would tell one who makes up messages how their unwrapping ended.
 */
function unwrapError(cause: unknown, attempts: UnwrapAttempts, header: MessageHeader): EnvelopeError {
  if (cause instanceof EnvelopeError) return cause;
  const failure = attempts.failures.find(({ retryable }) => retryable) ?? attempts.failures[0];
  if (failure) return failure;
  if (attempts.wasTried || header.wrappedDataKeys.some(attempts.isNamed)) return notAuthentic();
  if (attempts.hasForeignKeyring) return notAuthentic({ cause });
  const recipients = header.wrappedDataKeys.map(
    // Binary parameters follow the name of an AES key.
    ({ providerId, providerInfo }) => printable(`${providerId} ${providerInfo}`.replace(/\0.*/s, "")),
  );
  return new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    `the keyring has none of the keys that this message was written for: ${recipients.join(", ")}`,
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
