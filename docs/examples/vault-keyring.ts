/**
 * A keyring of your own, on HashiCorp Vault's transit engine: an adapter is two methods.
 * `vault` posts JSON to a path of Vault and returns the `data` of its answer; bring your own HTTP client.
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

/** Vault takes bytes; sorted pairs, so that the same context always gives the same ones. */
function associatedData(context: EncryptionContext): string {
  const pairs = Object.entries(context).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.from(JSON.stringify(pairs)).toString("base64");
}
