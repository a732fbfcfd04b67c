import { createSecretKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { decrypt, sealSource } from "../../src/cobblestone/stream/message.js";
import { bodyContext, openEnvelope, wrappingContext } from "../../src/envelope/envelope.js";
import { decodeEnvelope } from "../../src/envelope/metadata.js";
import { decodeSidecar } from "../../src/envelope/sidecar.js";
import { aesKeyring, EnvelopeClient } from "../../src/index.js";
import { unwrapDataKey } from "../../src/keys/keyring.js";
import { collect, cut, expectBytes, testBytes } from "../support/bytes.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { type NativeVector, sha256 } from "../support/native-vectors.js";

const local = useLocalAws();
const folder = new URL("../vectors/native/", import.meta.url);
const files = readdirSync(folder);

it("the native vectors are all read", () => expect(files.length).toBeGreaterThanOrEqual(10));

describe.each(files)("%s", (file) => {
  const vector = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as NativeVector;
  const keyring = aesKeyring({ keyId: vector.keyId, wrappingKey: Buffer.from(vector.wrappingKey, "hex") });
  const plaintext = testBytes(vector.plaintextLength, vector.plaintextLength);
  const salt = Buffer.from(vector.metadata["s3e-salt"] ?? "", "base64");
  const context = bodyContext(vector.encryptionContext);
  const dataKey = Buffer.from(vector.dataKey, "hex");

  const makeBody = async () => {
    const keys = deriveMessageKeys(createSecretKey(dataKey), salt, context);
    return collect(sealSource(cut(plaintext, 100_000), keys));
  };

  it("has the body that its key and salt produce", async () => {
    expect(sha256(plaintext)).toBe(vector.plaintextSha256);
    const body = await makeBody();
    expect(body.length).toBe(vector.bodyLength);
    expect(sha256(body)).toBe(vector.bodySha256);
    if (vector.body !== undefined) expectBytes(Buffer.from(vector.body, "base64"), body);
  });

  it("has an envelope that unwraps to its data key, which opens the body", async () => {
    const stored = decodeEnvelope(vector.metadata);
    const envelope =
      stored?.storage === "sidecar" ? decodeSidecar(vector.sidecar ?? "", stored.header) : stored?.envelope;
    if (!envelope) throw new Error("no envelope");
    expect(envelope.encryptionContext).toEqual(vector.encryptionContext);
    const unwrapped = await unwrapDataKey(keyring, {
      recipients: envelope.recipients,
      encryptionContext: wrappingContext(envelope.encryptionContext),
    });
    expect(unwrapped.export().toString("hex")).toBe(vector.dataKey);
    openEnvelope(envelope, unwrapped);
    expectBytes(await collect(decrypt(await makeBody(), { dataKey, context })), plaintext);
  });

  it("is read by the client as an object", async () => {
    const { objectKey: Key = "vector", sidecarKey, sidecar } = vector;
    await local.putRaw(Key, await makeBody(), vector.metadata);
    expect(sidecarKey === undefined).toBe(sidecar === undefined);
    if (sidecarKey !== undefined) await local.putRaw(sidecarKey, Buffer.from(sidecar ?? ""));
    const client = new EnvelopeClient({ s3: local.s3, keyring });
    const { encryptionContext } = vector;
    const object = await client.get({ Bucket, Key, encryptionContext });
    expectBytes(await object.Body.transformToByteArray(), plaintext);
    if (plaintext.length === 0) return;
    const range = await client.get({ Bucket, Key, encryptionContext, Range: "bytes=-1" });
    expectBytes(await range.Body.transformToByteArray(), plaintext.subarray(-1));
  });
});
