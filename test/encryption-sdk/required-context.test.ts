/** Messages that are bound to pairs which they do not hold: the vectors for .NET, and a message that holds a part of its context. */
import { createCipheriv, createPrivateKey, createPublicKey, hkdfSync } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import {
  type EncryptedDataKey,
  KeyringNode,
  type NodeDecryptionMaterial,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  RawRsaKeyringNode,
} from "@aws-crypto/client-node";
import { describe, expect, it } from "vitest";
import {
  decryptEncryptionSdkMessage,
  type EncryptionSdkOptions,
} from "../../src/encryption-sdk/decrypt-message.js";
import { canonicalContext, type EncryptionContext } from "../../src/keys/encryption-context.js";
import { collect, testBytes } from "../support/bytes.js";
import { aesKeyringNode } from "../support/encryption-sdk.js";
import { coded, errorOf } from "../support/errors.js";
import { encryptionSdkVectors, readVectors } from "../support/foreign-vectors.js";

interface Manifest {
  readonly tests: Readonly<
    Record<
      string,
      {
        readonly ciphertext: string;
        readonly "master-keys": readonly [{ readonly key: string; readonly "provider-id": string }];
        readonly cmm: "Default" | "RequiredEncryptionContext";
        readonly "encryption-context": EncryptionContext;
        readonly result: { readonly output: { readonly plaintext: string } };
      }
    >
  >;
}

interface Keys {
  readonly keys: Readonly<Record<string, { readonly encoding: "base64" | "pem"; readonly material: string }>>;
}

async function read(message: Uint8Array, options: EncryptionSdkOptions): Promise<Buffer> {
  return collect((await decryptEncryptionSdkMessage(message, options)).plaintext);
}

describe("vectors of the AWS Encryption SDK for .NET 4.0.1", () => {
  const manifest = readVectors<Manifest>("manifest.json", encryptionSdkVectors);
  const keys = readVectors<Keys>("keys.json", encryptionSdkVectors)?.keys ?? {};
  const bytesOf = (address: string) => {
    const path = `${encryptionSdkVectors.folder}/${address.replace("file://", "")}`;
    expect(existsSync(path), path).toBe(true);
    return readFileSync(path);
  };
  const keyringOf = ({
    key,
    "provider-id": keyNamespace,
  }: {
    key: string;
    "provider-id": string;
  }): KeyringNode => {
    const { encoding, material = "" } = keys[key] ?? {};
    if (encoding === "base64") {
      return new RawAesKeyringNode({
        keyNamespace,
        keyName: key,
        unencryptedMasterKey: Uint8Array.from(Buffer.from(material, "base64")),
        wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
      });
    }
    const publicKey = createPublicKey(createPrivateKey(material)).export({ type: "spki", format: "pem" });
    const rsaKey = { privateKey: material, publicKey: publicKey.toString() };
    return new RawRsaKeyringNode({ keyNamespace, keyName: key, rsaKey, oaepHash: "sha512" });
  };
  const tests = Object.entries(manifest?.tests ?? {});
  const commitmentPolicy = "REQUIRE_ENCRYPT_ALLOW_DECRYPT";

  it.skipIf(!manifest)(
    "all vectors are present: 22 of the default manager and 11 with a required context",
    () => {
      const managers = tests.map(([, { cmm }]) => cmm);
      expect(managers.filter((one) => one === "Default")).toHaveLength(22);
      expect(managers.filter((one) => one === "RequiredEncryptionContext")).toHaveLength(11);
    },
  );

  for (const [name, test] of tests) {
    const isRequired = test.cmm === "RequiredEncryptionContext";
    it(`vector ${name} is decrypted with its own context only`, async () => {
      const message = bytesOf(test.ciphertext);
      const stated = test["encryption-context"];
      const options = { keyring: keyringOf(test["master-keys"][0]), commitmentPolicy } as const;
      const field = isRequired ? "requiredEncryptionContext" : "encryptionContext";
      const opened = await decryptEncryptionSdkMessage(message, { ...options, [field]: stated });
      expect(opened.encryptionContext).toEqual(stated);
      expect(await collect(opened.plaintext)).toEqual(bytesOf(test.result.output.plaintext));
      for (const other of [{ ...stated, key2: "val3" }, { key1: "val1" }, { ...stated, key3: "val3" }, {}]) {
        const error = await errorOf(() => read(message, { ...options, [field]: other }));
        expect(error, Object.keys(other).join()).toEqual(
          coded(isRequired ? "DECRYPTION_FAILED" : "CONTEXT_MISMATCH"),
        );
      }
      const swapped = isRequired ? "encryptionContext" : "requiredEncryptionContext";
      expect(await errorOf(() => read(message, { ...options, [swapped]: stated }))).toEqual(
        coded("CONTEXT_MISMATCH"),
      );
    });
  }
});

describe("a message with a required encryption context", () => {
  const stored = { tenant: "42" };
  const required = { "～": "wide", "😀": "smile", area: "b" };
  const plaintext = testBytes(100, 5);

  /** One frame under ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY and the key of the keyring below. */
  function messageOf(bound: EncryptionContext): Buffer {
    const [dataKey, messageId, wrapIv] = [testBytes(32, 6), testBytes(32, 7), testBytes(12, 8)];
    const u16 = (value: number) => Buffer.of(value >> 8, value & 0xff);
    const u32 = (value: number) => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
    const field = (bytes: Buffer) => Buffer.concat([u16(bytes.length), bytes]);
    const derive = (...info: Buffer[]) =>
      Buffer.from(hkdfSync("sha512", dataKey, messageId, Buffer.concat(info), 32));
    const derived = derive(u16(0x0478), Buffer.from("DERIVEKEY"));
    const commitment = derive(Buffer.from("COMMITKEY"));
    const seal = (key: Uint8Array, iv: Uint8Array, authenticated: Buffer, bytes: Uint8Array) => {
      const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(authenticated);
      const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
      return [sealed, cipher.getAuthTag()] as const;
    };
    const wrapped = seal(testBytes(32, 1), wrapIv, canonicalContext({ ...stored, ...bound }), dataKey);
    const header = Buffer.concat([
      Buffer.of(2),
      u16(0x0478),
      messageId,
      field(canonicalContext(stored)),
      u16(1),
      field(Buffer.from("s3-envelope")),
      field(Buffer.concat([Buffer.from("aes-key"), u32(128), u32(12), wrapIv])),
      field(Buffer.concat(wrapped)),
      Buffer.of(2),
      u32(4096),
      commitment,
    ]);
    const authenticated = Buffer.concat([header, canonicalContext(bound)]);
    const [, headerTag] = seal(derived, Buffer.alloc(12), authenticated, Buffer.alloc(0));
    const iv = Buffer.concat([Buffer.alloc(8), u32(1)]);
    const label = Buffer.from("AWSKMSEncryptionClient Final Frame");
    const frame = Buffer.concat([messageId, label, u32(1), u32(0), u32(plaintext.length)]);
    const body = seal(derived, iv, frame, plaintext);
    return Buffer.concat([header, headerTag, u32(0xffffffff), u32(1), iv, u32(plaintext.length), ...body]);
  }

  const message = messageOf(required);
  const inner = new RawAesKeyringNode({
    keyNamespace: "s3-envelope",
    keyName: "aes-key",
    unencryptedMasterKey: new Uint8Array(testBytes(32, 1)),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    utf8Sorting: true,
  });
  const asked: EncryptionContext[] = [];
  class WatchedKeyring extends KeyringNode {
    override async _onEncrypt(): Promise<never> {
      throw new Error("not here");
    }
    override async _onDecrypt(material: NodeDecryptionMaterial, keys: EncryptedDataKey[]) {
      asked.push(material.encryptionContext);
      return inner.onDecrypt(material, keys);
    }
  }
  const keyring = new WatchedKeyring();
  const options = { keyring, encryptionContext: stored };

  it("a message with a required context is decrypted when both parts are stated, in any order of names", async () => {
    const reversed = Object.fromEntries(Object.entries(required).reverse());
    for (const requiredEncryptionContext of [required, reversed]) {
      const opened = await decryptEncryptionSdkMessage(message, { ...options, requiredEncryptionContext });
      expect(opened.encryptionContext).toEqual({ ...stored, ...required });
      expect(await collect(opened.plaintext)).toEqual(plaintext);
    }
    expect(asked).toEqual([
      { ...stored, ...required },
      { ...stored, ...required },
    ]);
  });

  it("a pair that is stated as the wrong kind of context is refused before any keyring is called", async () => {
    asked.length = 0;
    const requiredEncryptionContext = { ...required, ...stored };
    for (const encryptionContext of [stored, "any"] as const) {
      const error = await errorOf(() =>
        read(message, { ...options, encryptionContext, requiredEncryptionContext }),
      );
      expect(error).toEqual(coded("CONTEXT_MISMATCH", { differing: ["tenant"] }));
    }
    const both = { ...options, encryptionContext: { ...stored, ...required } };
    expect(await errorOf(() => read(message, both))).toEqual(coded("CONTEXT_MISMATCH"));
    expect(asked).toEqual([]);
  });

  it("a wrong or missing pair of the required context is refused", async () => {
    const others: EncryptionContext[] = [
      {},
      { ...required, area: "c" },
      { area: "b" },
      { ...required, more: "" },
    ];
    for (const requiredEncryptionContext of others) {
      const error = await errorOf(() => read(message, { ...options, requiredEncryptionContext }));
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
    }
  });
});

it("requiredEncryptionContext is checked as an argument", async () => {
  const stated = (requiredEncryptionContext: object) =>
    errorOf(() => read(testBytes(10), { keyring: aesKeyringNode(), requiredEncryptionContext } as never));
  expect((await stated({ a: 1 })).message).toContain('options.requiredEncryptionContext["a"]');
  expect((await stated({ "aws-crypto-public-key": "x" })).message).toContain("expected none");
});
