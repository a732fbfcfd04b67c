import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { type VaultPost, vaultKeyring } from "../../docs/examples/vault-keyring.js";
import { EnvelopeClient } from "../../src/index.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const master = randomBytes(32);

/** Responds as Vault's transit engine does, with real encryption and associated data. */
const vault: VaultPost = async (path, body): Promise<Record<string, string>> => {
  const aad = Buffer.from(String(body.associated_data), "base64");
  if (path === "transit/datakey/plaintext/app") {
    const [plaintext, iv] = [randomBytes(Number(body.bits) / 8), randomBytes(12)];
    const cipher = createCipheriv("aes-256-gcm", master, iv).setAAD(aad);
    const sealed = Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    return { plaintext: plaintext.toString("base64"), ciphertext: `vault:v1:${sealed.toString("base64")}` };
  }
  expect(path).toBe("transit/decrypt/app");
  const sealed = Buffer.from(String(body.ciphertext).replace("vault:v1:", ""), "base64");
  const decipher = createDecipheriv("aes-256-gcm", master, sealed.subarray(0, 12), { authTagLength: 16 })
    .setAAD(aad)
    .setAuthTag(sealed.subarray(-16));
  return {
    plaintext: Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString(
      "base64",
    ),
  };
};

it("docs/examples/vault-keyring.ts writes and reads objects that are bound to their context", async () => {
  const client = new EnvelopeClient({ s3: local.s3, keyring: vaultKeyring({ vault, key: "app" }) });
  const encryptionContext = { tenant: "42" };
  await client.put({ Bucket, Key: "k", Body: "hello", encryptionContext });
  const object = await client.get({ Bucket, Key: "k", encryptionContext });
  expect(await object.Body.transformToString()).toBe("hello");
  const { bytes, metadata } = await local.getRaw("k");
  expect(JSON.parse(metadata["s3e-recipients"] ?? "")[0]).toMatchObject({
    provider: "vault-transit",
    keyId: "app",
  });

  await local.putRaw("moved", bytes, { ...metadata, "s3e-context": '{"tenant":"43"}' });
  await expect(client.get({ Bucket, Key: "moved", encryptionContext: "any" })).rejects.toThrow();
  const other = new EnvelopeClient({ s3: local.s3, keyring: vaultKeyring({ vault, key: "other" }) });
  expect(await errorOf(() => other.get({ Bucket, Key: "k", encryptionContext }))).toEqual(
    coded("KEY_NOT_FOR_OBJECT"),
  );
});
