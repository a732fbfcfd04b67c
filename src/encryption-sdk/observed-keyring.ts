/**
 * Observes a keyring of `@aws-crypto/client-node`. Such a keyring reports failed KMS calls only in the text of one error
 * without a cause, and takes no signal.
 */
import type * as ClientNode from "@aws-crypto/client-node";
import { withOwnSignal } from "../base/abort.js";
import { printable } from "../base/bytes.js";
import type { EnvelopeError } from "../base/errors.js";
import { kmsError } from "../keys/kms/errors.js";
import type { WrappedDataKey } from "./header.js";

/** The input of a KMS call. */
interface DecryptInput {
  readonly KeyId?: string;
  readonly EncryptionContext?: Readonly<Record<string, string>>;
}

/** The part of a KMS client of the AWS SDK, version 3, that keyrings use. */
interface KmsDecrypt {
  decrypt(
    input: DecryptInput,
    options: { abortSignal?: AbortSignal },
  ): Promise<{ Plaintext?: unknown } | undefined>;
  readonly send: unknown;
}

/** The name of the key of a raw keyring. */
type RawKeyName = Readonly<{ keyNamespace: string; keyName: string }>;

/** A keyring whose KMS calls end with a signal, and the record of what it did. */
export class ObservedKeyring {
  /** Unwraps as the given keyring does. */
  readonly keyring: ClientNode.KeyringNode;
  readonly #client: typeof ClientNode;
  readonly #signal: AbortSignal | undefined;
  readonly #failures: EnvelopeError[] = [];
  readonly #rawKeyNames: RawKeyName[] = [];
  #hasCalledKms = false;
  #hasForeignKeyring = false;

  constructor(client: typeof ClientNode, keyring: ClientNode.KeyringNode, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#signal = signal;
    this.keyring = this.#observe(keyring);
  }

  /** The errors of KMS, in the order of the calls. */
  get failures(): readonly EnvelopeError[] {
    return this.#failures;
  }

  /** Whether a request was sent to KMS. */
  get hasCalledKms(): boolean {
    return this.#hasCalledKms;
  }

  /** Whether the keyring is, or contains, one of a class that is not known here. */
  get hasForeignKeyring(): boolean {
    return this.#hasForeignKeyring;
  }

  /** Whether a wrapped data key names the key of a raw keyring, which is in memory. */
  hasRawKeyFor({ providerId, providerInfo }: WrappedDataKey): boolean {
    return this.#rawKeyNames.some(
      ({ keyNamespace, keyName }) =>
        providerId === keyNamespace && providerInfo.toString().startsWith(keyName),
    );
  }

  #observe<T extends ClientNode.KeyringNode>(keyring: T): T {
    const client = this.#client;
    if (keyring instanceof client.MultiKeyringNode) {
      return withFields(keyring, {
        generator: keyring.generator && this.#observe(keyring.generator),
        children: keyring.children.map((child) => this.#observe(child)),
      });
    }
    if (keyring instanceof client.RawAesKeyringNode || keyring instanceof client.RawRsaKeyringNode) {
      this.#rawKeyNames.push(keyring as unknown as RawKeyName);
      return keyring;
    }
    if (keyring instanceof client.KmsKeyringNode) {
      const { clientProvider } = keyring as unknown as { clientProvider: (region: string) => unknown };
      return withFields(keyring, {
        clientProvider: (region: string) => this.#observeClient(clientProvider(region)),
      });
    }
    if (
      keyring instanceof client.AwsKmsMrkAwareSymmetricKeyringNode ||
      keyring instanceof client.AwsKmsMrkAwareSymmetricDiscoveryKeyringNode
    ) {
      const { client: kms } = keyring as unknown as { client: unknown };
      return withFields(keyring, { client: this.#observeClient(kms) });
    }
    this.#hasForeignKeyring = true;
    return keyring;
  }

  #observeClient(kms: unknown): unknown {
    if (!isKmsClient(kms)) return kms;
    return { decrypt: (input: DecryptInput) => this.#decrypt(kms, input) };
  }

  async #decrypt(kms: KmsDecrypt, input: DecryptInput): Promise<unknown> {
    this.#hasCalledKms = true;
    try {
      const output = await (this.#signal
        ? withOwnSignal(this.#signal, (abortSignal) => kms.decrypt(input, { abortSignal }))
        : kms.decrypt(input, {}));
      if (output?.Plaintext instanceof Uint8Array) return output;
      throw new Error("the response has no Plaintext; is there a proxy between you and KMS?");
    } catch (error) {
      const { KeyId = "", EncryptionContext = {} } = input;
      this.#failures.push(
        kmsError(error, {
          operation: "Decrypt",
          keyId: printable(KeyId),
          contextNames: Object.keys(EncryptionContext),
        }),
      );
      throw error;
    }
  }
}

function isKmsClient(value: unknown): value is KmsDecrypt {
  const { decrypt, send } = Object(value) as Partial<KmsDecrypt>;
  return typeof decrypt === "function" && typeof send === "function";
}

/** An object that inherits from a keyring, whose own fields are read-only, and replaces some of its fields. */
function withFields<T extends object>(keyring: T, fields: Readonly<Record<string, unknown>>): T {
  return Object.create(
    keyring,
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value, enumerable: true }])),
  ) as T;
}
