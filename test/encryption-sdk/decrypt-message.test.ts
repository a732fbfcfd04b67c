import { Readable } from "node:stream";
import { buildDecrypt } from "@aws-crypto/client-node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decryptEncryptionSdkMessage } from "../../src/encryption-sdk/decrypt-message.js";
import { collect, cut, expectBytes, testBytes } from "../support/bytes.js";
import {
  aesKeyringNode,
  committedSigned,
  committedUnsigned,
  decryptMessage,
  multiKeyringNode,
  pythonKeyring,
  pythonVector,
  pythonVectors,
  readMessage,
  rsaKeyringNode,
  suiteNames,
  writeMessage,
} from "../support/encryption-sdk.js";
import { coded } from "../support/errors.js";

const sizes = [0, 1, 4095, 4096, 4097];

describe("messages of the AWS Encryption SDK for JavaScript", () => {
  it("the AWS Encryption SDK for JavaScript writes eleven suites", () => {
    expect(suiteNames).toHaveLength(11);
  });

  it.each(suiteNames)("a message is decrypted: %s", async (suite) => {
    for (const size of sizes) {
      const plaintext = testBytes(size, size);
      const message = await writeMessage(plaintext, { suite, encryptionContext: { tenant: "42" } });
      const opened = await decryptEncryptionSdkMessage(message, {
        keyring: aesKeyringNode(),
        encryptionContext: { tenant: "42" },
        commitmentPolicy: suite.includes("COMMIT")
          ? "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"
          : "FORBID_ENCRYPT_ALLOW_DECRYPT",
      });
      expect(opened.algorithmSuite).toBe(suite);
      expect(opened.isSigned).toBe(suite.includes("ECDSA"));
      expect(opened.encryptionContext).toEqual({ tenant: "42" });
      expectBytes(await collect(opened.plaintext), plaintext);
    }
  });

  it.each([committedUnsigned, committedSigned])(
    "a message of 1 MiB, also in small frames, is decrypted: %s",
    async (suite) => {
      const plaintext = testBytes(1024 * 1024);
      for (const frameLength of [512, 4096, 1024 * 1024]) {
        const message = await writeMessage(plaintext, { suite, frameLength });
        expectBytes(await decryptMessage(Readable.from(cut(message, 65_521))), plaintext);
      }
    },
  );

  it.each([
    ["RSA", rsaKeyringNode()],
    [
      "several keys, the last of which is ours",
      multiKeyringNode(aesKeyringNode("other", 2), rsaKeyringNode()),
    ],
  ])("a message is decrypted under %s", async (_, keyring) => {
    const message = await writeMessage(testBytes(100), { keyring });
    expectBytes(await decryptMessage(message, { keyring: rsaKeyringNode() }), testBytes(100));
  });

  it("a message is decrypted in pieces of any length, with the result of Amazon's client", async () => {
    const { decrypt } = buildDecrypt();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 600 }),
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 20 }),
        fc.constantFrom(committedUnsigned, committedSigned),
        fc.dictionary(
          fc.string({ minLength: 1, unit: "grapheme" }).filter((name) => name !== "__proto__"),
          fc.string({ unit: "grapheme" }),
          { maxKeys: 4 },
        ),
        async (size, frameLength, lengths, suite, encryptionContext) => {
          const plaintext = testBytes(size, size);
          const message = await writeMessage(plaintext, { suite, frameLength, encryptionContext });
          const pieces = cut(message, ...lengths, 1);
          expectBytes(await decryptMessage(pieces, { encryptionContext }), plaintext);
          expectBytes((await decrypt(aesKeyringNode(), message)).plaintext, plaintext);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("a message is decrypted from every kind of source", async () => {
    const message = await writeMessage(testBytes(5000), { frameLength: 1000 });
    const sources = [
      message,
      new Uint8Array(message),
      [message.subarray(0, 7), new Uint8Array(0), message.subarray(7)],
      Readable.from(cut(message, 1)),
      new Blob([new Uint8Array(message)]).stream(),
    ];
    for (const source of sources) {
      expectBytes(await decryptMessage(source as Readable), testBytes(5000));
    }
  });
});

describe("messages of the AWS Encryption SDK for Python", () => {
  it.each(pythonVectors)("a message of the SDK for Python is decrypted: %s", async (file) => {
    const vector = pythonVector(file);
    const message = Buffer.from(vector.message, "base64");
    for (const keyName of vector.keyNames) {
      for (const source of [message, [...cut(message, 100)], [...cut(message, 1)]]) {
        const opened = await decryptEncryptionSdkMessage(source, {
          keyring: pythonKeyring(vector, keyName),
          encryptionContext: vector.encryptionContext,
          commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
        });
        expect(opened.encryptionContext).toEqual(vector.encryptionContext);
        expect(opened.algorithmSuite.replace("_IV12_TAG16", "")).toBe(
          `ALG_${vector.algorithmSuite.replace("_IV12_TAG16", "").replace("AES_", "AES")}`,
        );
        expectBytes(await collect(opened.plaintext), Buffer.from(vector.plaintext, "base64"));
      }
    }
  });
  it("a context whose names UTF-16 sorts differently needs utf8Sorting of the raw AES keyring", async () => {
    const vector = pythonVector("signed-two-keys-unicode.json");
    const { encryptionContext } = vector;
    const message = Buffer.from(vector.message, "base64");
    const keyring = pythonKeyring(vector, "aes-key", false);
    const { error } = await readMessage(message, { keyring, encryptionContext });
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
  });
});
