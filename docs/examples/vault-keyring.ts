/**
 * A keyring for the transit engine of HashiCorp Vault: an adapter has two methods.
 * `vault` posts JSON to a path of Vault and returns the `data` of the response. Use any HTTP client.
 */
import type { EncryptionContext, Keyring } from "s3-envelope";

export type VaultPost = (
  path: string,
  body: Record<string, unknown>,
  abortSignal?: AbortSignal,
) => Promise<Record<string, string>>;

const provider = "vault-transit";

export function vaultKeyring({ vault, key }: { vault: VaultPost; key: string }): Keyring {
  return {
    async generateDataKey({ encryptionContext, abortSignal }) {
      const associated_data = associatedData(encryptionContext);
      const data = await vault(
        `transit/datakey/plaintext/${key}`,
        { bits: 256, associated_data },
        abortSignal,
      );
      const ciphertext = Buffer.from(data.ciphertext ?? "");
      return {
        plaintext: Buffer.from(data.plaintext ?? "", "base64"),
        recipients: [{ provider, keyId: key, ciphertext }],
      };
    },
    async unwrapDataKey({ recipients, encryptionContext, abortSignal }) {
      const recipient = recipients.find(
        (candidate) => candidate.provider === provider && candidate.keyId === key,
      );
      if (!recipient) return null;
      const ciphertext = Buffer.from(recipient.ciphertext).toString();
      const body = { ciphertext, associated_data: associatedData(encryptionContext) };
      const data = await vault(`transit/decrypt/${key}`, body, abortSignal);
      return Buffer.from(data.plaintext ?? "", "base64");
    },
  };
}

/** The context as bytes. Pairs are sorted, so that equal contexts have equal bytes. */
function associatedData(context: EncryptionContext): string {
  const pairs = Object.entries(context).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.from(JSON.stringify(pairs)).toString("base64");
}
