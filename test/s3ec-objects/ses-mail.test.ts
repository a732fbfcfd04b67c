import { createCipheriv } from "node:crypto";
import { CreateAliasCommand, EncryptCommand } from "@aws-sdk/client-kms";
import { describe, expect, it } from "vitest";
import { decryptSesMail, sesMailReading } from "../../src/legacy.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { localShapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { store } from "./support.js";

const local = useLocalAws();
const mail = Buffer.from(`From: a@example.com\r\nTo: b@example.com\r\n\r\n${"caf\u00e9 ".repeat(9_000)}`);

/** An object in the format that the S3 action of SES writes. */
async function storeMail(Key: string, keyId = local.keyArn): Promise<Buffer> {
  const context = {
    "aws:ses-message-id": "l3vg1n7bhg3kq2c0example",
    "aws:ses-rule-name": "store",
    "aws:ses-source-account": "111122223333",
    kms_cmk_id: keyId,
  };
  const dataKey = testBytes(32, 31);
  const { CiphertextBlob = Buffer.alloc(0) } = await local.aws.kms.send(
    new EncryptCommand({ KeyId: keyId, Plaintext: dataKey, EncryptionContext: context }),
  );
  const iv = testBytes(12, 32);
  const cipher = createCipheriv("aes-256-gcm", dataKey, iv);
  const body = Buffer.concat([cipher.update(mail), cipher.final(), cipher.getAuthTag()]);
  await local.putRaw(Key, body, {
    "x-amz-key-v2": Buffer.from(CiphertextBlob).toString("base64"),
    "x-amz-iv": iv.toString("base64"),
    "x-amz-matdesc": JSON.stringify(context),
    "x-amz-wrap-alg": "kms",
    "x-amz-cek-alg": "AES/GCM/NoPadding",
    "x-amz-tag-len": "128",
    "x-amz-unencrypted-content-length": String(mail.length),
  });
  local.operations();
  return body;
}

const input = (more = {}) => ({
  s3: local.s3,
  kms: local.aws.kms,
  keyId: local.keyArn,
  Bucket,
  Key: "mail",
  ...more,
});

describe("inbound mail of Amazon SES", () => {
  it("decryptSesMail takes one request to S3 and one to KMS", async () => {
    await storeMail("mail");
    expectBytes(await decryptSesMail(input()), mail);
    expect(local.operations()).toEqual(["GetObject", "Decrypt"]);
  });

  it("decryptSesMail uses the key alias/aws/ses by default", async () => {
    const AliasName = "alias/aws/ses";
    const alias = new CreateAliasCommand({ AliasName, TargetKeyId: local.keyArn });
    await local.aws.kms.send(alias).catch(() => undefined);
    await storeMail("mail");
    const call = decryptSesMail(input({ keyId: undefined }));
    await call.catch(() => undefined);
    const decrypt = local.aws.requests.find(({ operation }) => operation === "Decrypt");
    expect(decrypt?.input?.KeyId).toBe(AliasName);
  });

  it("a client with sesMailReading reads mail, and refuses formats that SES does not write", async () => {
    await storeMail("mail");
    const client = local.clientWith({ legacy: sesMailReading({ kms: local.aws.kms, keyId: local.keyArn }) });
    const { Body, legacy, encryptionContext } = await client.get({ Bucket, Key: "mail" });
    expect(await Body.transformToString()).toBe(mail.toString());
    expect(legacy).toMatchObject({ wrapAlgorithm: "kms", authenticated: "before-release" });
    expect(Object.keys(encryptionContext ?? {})).toContain("aws:ses-message-id");
    const range = { Bucket, Key: "mail", Range: "bytes=0-10" };
    const unauthenticated = { option: "enableLegacyUnauthenticatedModes" };
    expect(await errorOf(() => client.get(range))).toEqual(coded("LEGACY_REFUSED", unauthenticated));
    const kms = { client: local.aws.kms, keyId: local.keyArn };
    const shape = { ...localShapes.cbc, format: "V2", wrap: "kms" } as const;
    await store(local, "cbc", await writeLegacy(mail, shape, { kms }));
    expect(await errorOf(() => client.get({ Bucket, Key: "cbc" }))).toEqual(
      coded("LEGACY_REFUSED", unauthenticated),
    );
  });

  it("mail that was modified, is not encrypted, does not exist, or is a native object is an error", async () => {
    const body = await storeMail("mail");
    const { metadata } = await local.getRaw("mail");
    body[5] = (body[5] ?? 0) ^ 1;
    await local.putRaw("mail", body, metadata);
    expect(await errorOf(() => decryptSesMail(input()))).toEqual(coded("DECRYPTION_FAILED"));
    await local.putRaw("plain", mail);
    local.operations();
    expect(await errorOf(() => decryptSesMail(input({ Key: "plain" })))).toEqual(coded("ENVELOPE_MISSING"));
    expect(local.operations()).toEqual(["GetObject"]);
    expect(await errorOf(() => decryptSesMail(input({ Key: "nowhere" })))).toEqual(coded("S3_NOT_FOUND"));
    await local.client.put({ Bucket, Key: "native", Body: mail });
    expect(await errorOf(() => decryptSesMail(input({ Key: "native" })))).toEqual(
      coded("KEY_NOT_FOR_OBJECT"),
    );
    const reason = new Error("enough");
    expect(await errorOf(() => decryptSesMail(input(), { abortSignal: AbortSignal.abort(reason) }))).toBe(
      reason,
    );
  });

  it("decryptSesMail refuses options for plaintext, parts and contexts at run time", async () => {
    await local.putRaw("plain", mail);
    local.operations();
    for (const more of [
      { unencrypted: "allow" },
      { Range: "bytes=0-1" },
      { PartNumber: 1 },
      { encryptionContext: { tenant: "1" } },
    ]) {
      const error = await errorOf(() => decryptSesMail({ ...input({ Key: "plain" }), ...more }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(`${Object.keys(more)[0]}: `);
    }
    expect(local.operations()).toEqual([]);
  });

  it("decryptSesMail with a wrong argument sends no request", async () => {
    for (const wrong of [{ s3: 5 }, { kms: 5 }, { keyId: 5 }, { Bucket: undefined }, { Key: "" }]) {
      const error = await errorOf(() => decryptSesMail(input(wrong)));
      expect(["TypeError", "RangeError"]).toContain(error.name);
    }
    expect(local.operations()).toEqual([]);
  });
});
