/**
 * A keyring of `@aws-crypto/client-node`, watched: it tells of failed KMS calls only in the text of one error
 * that has no cause, and takes no signal.
 */
import type * as ClientNode from "@aws-crypto/client-node";
import { withOwnSignal } from "../base/abort.js";
import { printable } from "../base/bytes.js";
import type { EnvelopeError } from "../base/errors.js";
import { kmsError } from "../keys/kms/errors.js";
import type { WrappedDataKey } from "./header.js";

/** What came of unwrapping. */
export interface UnwrapAttempts {
  /** The errors of KMS, in their order. */
  readonly failures: readonly EnvelopeError[];
  /** Whether KMS was asked. */
  readonly wasTried: boolean;
  /** Whether there are keyrings among them of which nothing is known. */
  readonly hasForeignKeyring: boolean;
  /** Whether a keyring with a key in memory is the one that a wrapped data key names. */
  readonly isNamed: (dataKey: WrappedDataKey) => boolean;
}

/** What KMS is asked. */
interface DecryptInput {
  readonly KeyId?: string;
  readonly EncryptionContext?: Readonly<Record<string, string>>;
}

/** The part of a KMS client of version 3 that keyrings use. */
interface KmsDecrypt {
  decrypt(
    input: DecryptInput,
    options: { abortSignal?: AbortSignal },
  ): Promise<{ Plaintext?: unknown } | undefined>;
  readonly send: unknown;
}

type Named = Readonly<{ keyNamespace: string; keyName: string }>;

/** The same keyring, whose KMS calls end with the signal and leave their errors. */
export function observe(
  client: typeof ClientNode,
  keyring: ClientNode.KeyringNode,
  signal: AbortSignal | undefined,
): { readonly keyring: ClientNode.KeyringNode; readonly attempts: UnwrapAttempts } {
  const failures: EnvelopeError[] = [];
  const named: Named[] = [];
  const attempts = {
    failures,
    wasTried: false,
    hasForeignKeyring: false,
    isNamed: ({ providerId, providerInfo }: WrappedDataKey) =>
      named.some(
        ({ keyNamespace, keyName }) =>
          providerId === keyNamespace && providerInfo.toString().startsWith(keyName),
      ),
  };

  async function decrypt(kms: KmsDecrypt, input: DecryptInput): Promise<unknown> {
    attempts.wasTried = true;
    try {
      const output = await (signal
        ? withOwnSignal(signal, (abortSignal) => kms.decrypt(input, { abortSignal }))
        : kms.decrypt(input, {}));
      if (output?.Plaintext instanceof Uint8Array) return output;
      throw new Error("the answer has no Plaintext; is there a proxy between you and KMS?");
    } catch (error) {
      const { KeyId = "", EncryptionContext = {} } = input;
      failures.push(
        kmsError(error, {
          operation: "Decrypt",
          keyId: printable(KeyId),
          contextNames: Object.keys(EncryptionContext),
        }),
      );
      throw error;
    }
  }

  function watchedClient(kms: unknown): unknown {
    if (!isKmsClient(kms)) return kms;
    return { decrypt: (input: DecryptInput) => decrypt(kms, input) };
  }

  /** Inherits from the keyring, whose fields cannot be set, and has the one field instead of it. */
  function watched<T extends ClientNode.KeyringNode>(inner: T): T {
    if (inner instanceof client.MultiKeyringNode) {
      return withFields(inner, {
        generator: inner.generator && watched(inner.generator),
        children: inner.children.map(watched),
      });
    }
    if (inner instanceof client.RawAesKeyringNode || inner instanceof client.RawRsaKeyringNode) {
      named.push(inner as unknown as Named);
      return inner;
    }
    if (inner instanceof client.KmsKeyringNode) {
      const { clientProvider } = inner as unknown as { clientProvider: (region: string) => unknown };
      return withFields(inner, { clientProvider: (region: string) => watchedClient(clientProvider(region)) });
    }
    if (
      inner instanceof client.AwsKmsMrkAwareSymmetricKeyringNode ||
      inner instanceof client.AwsKmsMrkAwareSymmetricDiscoveryKeyringNode
    ) {
      return withFields(inner, { client: watchedClient((inner as unknown as { client: unknown }).client) });
    }
    attempts.hasForeignKeyring = true;
    return inner;
  }

  return { keyring: watched(keyring), attempts };
}

function isKmsClient(value: unknown): value is KmsDecrypt {
  const { decrypt, send } = Object(value) as Partial<KmsDecrypt>;
  return typeof decrypt === "function" && typeof send === "function";
}

function withFields<T extends object>(inner: T, fields: Readonly<Record<string, unknown>>): T {
  return Object.create(
    inner,
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value, enumerable: true }])),
  ) as T;
}
