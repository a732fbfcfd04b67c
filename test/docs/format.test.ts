import { createSecretKey, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { sealSource } from "../../src/cobblestone/message.js";
import { bodyContext, wrappingContext } from "../../src/envelope/envelope.js";
import { decodeEnvelope, encodeEnvelope } from "../../src/envelope/metadata.js";
import { aesKeyring } from "../../src/keys/aes.js";
import { canonicalContext } from "../../src/keys/context.js";
import { collect } from "../support/bytes.js";

const text = readFileSync(new URL("../../docs/format.md", import.meta.url), "utf8");
const block = /```text\n(.*?)\n```/s.exec(text)?.[1] ?? "";
const example = Object.fromEntries(
  block.split("\n").map((line) => line.split(/ *: (.*)/s).slice(0, 2) as [string, string]),
);
const hex = (name: string) => Buffer.from(example[name] ?? "", "hex");
const context = JSON.parse(example.context ?? "null") as Record<string, string>;

it("the worked example is derived as the document says", async () => {
  expect(Object.keys(example)).toHaveLength(24);
  expect(canonicalContext(context)).toEqual(hex("canonical"));
  expect(bodyContext(context)).toEqual(hex("body context"));
  expect(wrappingContext(context)).toEqual(JSON.parse(example["wrapping context"] ?? ""));
  const keys = deriveMessageKeys(createSecretKey(hex("data key")), hex("salt"), hex("body context"));
  expect(keys.key.export()).toEqual(hex("key"));
  expect(keys.baseNonce).toEqual(hex("base nonce"));
  expect(keys.header).toEqual(Buffer.concat([hex("salt"), hex("commitment")]));
  const okm = Buffer.concat([hex("T1"), hex("T2")]);
  expect(Buffer.concat([hex("key"), hex("base nonce"), hex("commitment")])).toEqual(okm.subarray(0, 76));
  expect(await collect(sealSource(hex("plaintext"), keys))).toEqual(hex("body"));
});

it("the worked example is an envelope that opens", async () => {
  const metadata = Object.fromEntries(Object.entries(example).filter(([name]) => name.startsWith("s3e-")));
  const stored = decodeEnvelope(metadata);
  if (stored?.storage !== "metadata") throw new Error("no envelope");
  expect(encodeEnvelope(stored.envelope)).toEqual(metadata);
  const { recipients } = stored.envelope;
  expect(recipients[0]?.ciphertext).toEqual(hex("wrapped data key"));
  const wrap = Buffer.from(
    hkdfSync("sha512", hex("wrapping key"), hex("wrap salt"), "s3-envelope/v1/aes-wrap", 44),
  );
  expect(wrap).toEqual(Buffer.concat([hex("wrap key"), hex("wrap nonce")]));
  const keyring = aesKeyring({ keyId: "example", wrappingKey: hex("wrapping key") });
  const input = { recipients, encryptionContext: wrappingContext(context) };
  expect(await keyring.unwrapDataKey(input)).toEqual(hex("data key"));
});
