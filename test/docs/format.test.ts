import { createDecipheriv, createHash, createSecretKey, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { DecryptCommand, KMSClient } from "@aws-sdk/client-kms";
import { mockClient } from "aws-sdk-client-mock";
import { expect, it } from "vitest";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { decrypt, sealSource } from "../../src/cobblestone/stream/message.js";
import { bodyContext, type Envelope, wrappingContext } from "../../src/envelope/envelope.js";
import { decodeEnvelope, encodeEnvelope, encodeSidecarReference } from "../../src/envelope/metadata.js";
import { decodeSidecar, encodeSidecar, sidecarKey } from "../../src/envelope/sidecar.js";
import { aesKeyring } from "../../src/keys/aes.js";
import { canonicalContext } from "../../src/keys/encryption-context.js";
import { kmsKeyring } from "../../src/keys/kms/kms-keyring.js";
import { collect } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const text = readFileSync(new URL("../../docs/format.md", import.meta.url), "utf8");
/** The lines "name : value" of each block, in their order. */
const blocks = [...text.matchAll(/```text\n(.*?)\n```/gs)].map(([, lines = ""]) =>
  Object.fromEntries(
    lines.split("\n").map((line) => /^(.*?) *: (.*)$/s.exec(line)?.slice(1, 3) as [string, string]),
  ),
);
const [example = {}, sidecarReference = {}, kmsExample = {}, twoChunks = {}, notAscii = {}] = blocks;
const hex = (name: string) => Buffer.from(example[name] ?? "", "hex");
const context = JSON.parse(example.context ?? "null") as Record<string, string>;

it("docs/format.md 10.1: keys and body of the worked example are derived as specified", async () => {
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

it("docs/format.md 10.1: the envelope of the worked example opens", async () => {
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

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const dataKey = () => createSecretKey(hex("data key"));

/** The envelope of the first example. */
function exampleEnvelope(): Envelope {
  const stored = decodeEnvelope(
    Object.fromEntries(Object.entries(example).filter(([name]) => name.startsWith("s3e-"))),
  );
  if (stored?.storage !== "metadata") throw new Error("no envelope");
  return stored.envelope;
}

it("docs/format.md 10.2: the sidecar of the worked example is written and read as shown", () => {
  expect(blocks).toHaveLength(5);
  const envelope = exampleEnvelope();
  expect(encodeSidecarReference(envelope.header)).toEqual(sidecarReference);
  const [, key = ""] = /the object `(reports[^`]*)` holds this text/.exec(text) ?? [];
  expect(sidecarKey("reports/q3.csv", envelope.header)).toBe(key);
  const sidecar = `${/```json\n(.*?)\n```/s.exec(text)?.[1]}\n`;
  expect(encodeSidecar(envelope)).toBe(sidecar);
  expect(decodeSidecar(sidecar, envelope.header)).toEqual(envelope);
});

it("docs/format.md 10.3: the KMS recipient causes the request shown and opens the body", async () => {
  const kms = new KMSClient({ region: "eu-central-1" });
  const mock = mockClient(kms);
  const Plaintext = Buffer.from(kmsExample.Plaintext ?? "", "hex");
  expect(Plaintext).toEqual(hex("data key"));
  const request = JSON.parse(kmsExample.request ?? "");
  mock.on(DecryptCommand).resolves({ Plaintext, KeyId: request.KeyId });
  const metadata = Object.fromEntries(Object.entries(example).filter(([name]) => name.startsWith("s3e-")));
  const stored = decodeEnvelope({ ...metadata, "s3e-recipients": kmsExample["s3e-recipients"] ?? "" });
  if (stored?.storage !== "metadata") throw new Error("no envelope");
  const { recipients, encryptionContext } = stored.envelope;
  const ciphertext = Buffer.from(Array.from({ length: 184 }, (_, index) => index));
  expect(recipients.map((one) => one.ciphertext)).toEqual([ciphertext]);
  const keyring = kmsKeyring({ kms, keyId: request.KeyId });
  const unwrapped = await keyring.unwrapDataKey({
    recipients,
    encryptionContext: wrappingContext(encryptionContext),
  });
  const { GrantTokens: _none, ...asked } = mock.commandCalls(DecryptCommand)[0]?.args[0].input ?? {};
  expect({ ...asked, CiphertextBlob: "(these 184 bytes)" }).toEqual(request);
  expect(asked.CiphertextBlob).toEqual(ciphertext);
  const opened = decrypt(hex("body"), {
    dataKey: unwrapped ?? Buffer.alloc(0),
    context: bodyContext(context),
  });
  expect(await collect(opened)).toEqual(hex("plaintext"));
});

it("docs/format.md 10.4: the message of two chunks is derived as shown", async () => {
  const salt = Buffer.from(twoChunks.salt ?? "", "hex");
  const keys = deriveMessageKeys(dataKey(), salt, bodyContext(context));
  const plaintext = Buffer.from(Array.from({ length: 16_385 }, (_, index) => index % 251));
  const body = await collect(sealSource(plaintext, keys));
  const nonce = Buffer.from(keys.baseNonce);
  nonce.writeUInt8(nonce.readUInt8(11) ^ 1, 11);
  expect({
    salt: hexOf(salt),
    "plaintext sha256": sha256(plaintext),
    key: hexOf(keys.key.export()),
    "nonce of chunk 0": hexOf(keys.baseNonce),
    "nonce of chunk 1": hexOf(nonce),
    commitment: hexOf(keys.header.subarray(24)),
    "chunk 0, start": hexOf(body.subarray(56, 72)),
    "chunk 0, tag": hexOf(body.subarray(56 + 16_384, 56 + 16_400)),
    "chunk 1": hexOf(body.subarray(56 + 16_400)),
    "body length": String(body.length),
    "body sha256": sha256(body),
  }).toEqual(twoChunks);
  const decipher = createDecipheriv("aes-256-gcm", keys.key, nonce).setAuthTag(body.subarray(-16));
  const last = Buffer.concat([decipher.update(body.subarray(56 + 16_400, -16)), decipher.final()]);
  expect(last).toEqual(plaintext.subarray(16_384));
});

it("docs/format.md 10.5: a context that is not ASCII is encoded as shown", () => {
  const encryptionContext = { "\u{1f600}": "smile", "\uff5e": "wide", "\u00e9": 'a\n\u007f"\\/' };
  const keys = deriveMessageKeys(dataKey(), hex("salt"), bodyContext(encryptionContext));
  const { recipients } = exampleEnvelope();
  const written = encodeEnvelope({ header: keys.header, encryptionContext, recipients });
  expect({
    canonical: hexOf(canonicalContext(encryptionContext)),
    "wrapping, canonical": hexOf(canonicalContext(wrappingContext(encryptionContext))),
    "s3e-context": written["s3e-context"],
    commitment: hexOf(keys.header.subarray(24)),
  }).toEqual(notAscii);
  expect(decodeEnvelope(written)).toMatchObject({ envelope: { encryptionContext } });
});

it("the longest context takes fewer characters of JSON than the document says, and is read", () => {
  const longest = { a: "\u0001".repeat(8159 - 2 - 4 - 1) };
  expect(canonicalContext(longest)).toHaveLength(8159);
  const { header, recipients } = exampleEnvelope();
  const written = encodeEnvelope({ header, encryptionContext: longest, recipients });
  expect(written["s3e-context"]?.length).toBeLessThanOrEqual(48_954);
  expect(decodeEnvelope(written)).toMatchObject({ envelope: { encryptionContext: longest } });
});

it("native fields count where fields of Amazon's clients stand beside them", async () => {
  const metadata = Object.fromEntries(Object.entries(example).filter(([name]) => name.startsWith("s3e-")));
  const beside = { "x-amz-key-v2": "AAAA", "x-amz-3": "AAAA", "X-Amz-Iv": "AAAA" };
  expect(decodeEnvelope({ ...metadata, ...beside })).toEqual(decodeEnvelope(metadata));
  expect(await errorOf(() => decodeEnvelope({ ...beside, "s3e-version": "1" }))).toEqual(
    coded("ENVELOPE_INVALID", { field: "s3e-suite" }),
  );
});
