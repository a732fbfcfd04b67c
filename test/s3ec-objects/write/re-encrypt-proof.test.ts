/** Anybody who may write to the bucket can put the instruction file of one object beside another: its data key must not be wrapped for others. */
import { createCipheriv } from "node:crypto";
import { CopyObjectCommand, GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it } from "vitest";
import {
  type LegacyKeyring,
  type LegacyWriterOptions,
  legacyRsaKeyring,
  type ReEncryptInstructionFileInput,
} from "../../../src/legacy.js";
import { testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import {
  formats,
  keysOf,
  keyTypes,
  optionsOf,
  removeAll,
  stored,
  writerWith,
} from "../../support/legacy-writer.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { readS3ec, s3ecKeys } from "../../support/s3ec.js";

const local = useLocalAws();
afterEach(() => removeAll(local));

const materialsDescription = { reader: "partner" };
const instructionFileSuffix = ".instruction-partner";
const at = { Bucket, Key: "public" };
const [publicBody, secretBody] = [testBytes(70_000, 1), testBytes(70_000, 2)];
const writer = (options: Partial<LegacyWriterOptions> = {}) =>
  writerWith(local, { instructionFile: true, ...options });
const copy = (from: string, to: string, more: object = {}) =>
  local.s3.send(new CopyObjectCommand({ Bucket, Key: to, CopySource: `${Bucket}/${from}`, ...more }));

/** The partner's keyring, and the data keys that it has wrapped. */
function partner(): { newKeyring: LegacyKeyring; seen: Buffer[] } {
  const { publicKey } = s3ecKeys.otherRsa;
  const inner = legacyRsaKeyring({ publicKey, materialsDescription });
  const seen: Buffer[] = [];
  const wrapDataKey: LegacyKeyring["wrapDataKey"] = async (plaintext, input) => {
    seen.push(Buffer.from(plaintext));
    const wrapped = await inner.wrapDataKey?.(plaintext, input);
    if (!wrapped) throw new Error("this keyring wraps");
    return wrapped;
  };
  return { newKeyring: { ...inner, wrapDataKey }, seen };
}

/** Re-encrypts `public`, and expects that no data key is wrapped and nothing is written. */
async function refusal(
  options: Partial<LegacyWriterOptions>,
  input: Partial<ReEncryptInstructionFileInput> = {},
): Promise<Error> {
  const { newKeyring, seen } = partner();
  const before = await local.contents();
  const files = await Promise.all(before.keys.map((key) => local.getRaw(key)));
  local.operations();
  const error = await errorOf(() =>
    writer(options).reEncryptInstructionFile({ ...at, newKeyring, instructionFileSuffix, ...input }),
  );
  expect(local.operations()).not.toContain("PutObject");
  expect(seen).toEqual([]);
  const after = await local.contents();
  expect(after).toEqual(before);
  expect(await Promise.all(after.keys.map((key) => local.getRaw(key)))).toEqual(files);
  return error;
}

describe("proof of the data key before it is wrapped for another reader", () => {
  const all = keyTypes.flatMap((keyType) => formats.map((format) => ({ keyType, format })));

  it.each(all)(
    "a data key in $format under $keyType is wrapped only if it opens the named object",
    async (how) => {
      const options = { keyring: keysOf(local, how.keyType).keyring, ...optionsOf[how.format] };
      await writer(options).put({ ...at, Body: publicBody });
      await writer(options).put({ Bucket, Key: "secret", Body: secretBody });
      const own = await local.getRaw("public.instruction");
      await copy("secret.instruction", "public.instruction");
      expect(await refusal(options)).toEqual(coded("DECRYPTION_FAILED"));
      expect(await refusal(options, { verifyContent: "always" })).toEqual(coded("DECRYPTION_FAILED"));

      await local.putRaw("public.instruction", own.bytes, own.metadata);
      const { newKeyring, seen } = partner();
      await writer(options).reEncryptInstructionFile({ ...at, newKeyring, instructionFileSuffix });
      expect(seen).toHaveLength(1);
      const shared = await stored(local, "public", instructionFileSuffix);
      expect(await readS3ec(shared, { rsa: s3ecKeys.otherRsa.privateKey })).toEqual(publicBody);
    },
  );

  it("a data key of V2 is not wrapped if the object was modified or truncated", async () => {
    const options = optionsOf.V2;
    await writer(options).put({ ...at, Body: publicBody });
    const { bytes } = await local.getRaw("public");
    for (const place of [0, 40_000, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[place] = (changed[place] ?? 0) ^ 1;
      await local.putRaw("public", changed);
      expect(await refusal(options)).toEqual(coded("DECRYPTION_FAILED"));
    }
    await local.putRaw("public", bytes.subarray(0, 60_000));
    expect(await refusal(options)).toEqual(coded("DECRYPTION_FAILED"));
    await local.putRaw("public", bytes.subarray(0, 15));
    expect(await refusal(options)).toEqual(coded("BODY_TRUNCATED"));
  });

  it("a data key of V3 whose commitment was replaced, too, is not wrapped with verifyContent: always", async () => {
    await writer().put({ ...at, Body: publicBody });
    await writer().put({ Bucket, Key: "secret", Body: secretBody });
    const { metadata } = await local.getRaw("secret");
    const { bytes } = await local.getRaw("public");
    await local.putRaw("public", bytes, metadata);
    await copy("secret.instruction", "public.instruction");
    expect(await refusal({}, { verifyContent: "always" })).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("a data key is not wrapped if the object does not have the stated ETag", async () => {
    for (const format of formats) {
      const options = optionsOf[format];
      const { ETag = "" } = await writer(options).put({ ...at, Body: publicBody });
      await writer(options).put({ Bucket, Key: "secret", Body: secretBody });
      const { newKeyring, seen } = partner();
      const input = { ...at, newKeyring, instructionFileSuffix };
      for (const IfMatch of [ETag, ETag.replaceAll('"', ""), `W/${ETag}`]) {
        await writer(options).reEncryptInstructionFile({ ...input, IfMatch });
      }
      expect(seen).toHaveLength(3);
      await copy("secret", "public");
      await copy("secret.instruction", "public.instruction");
      expect(await refusal(options, { IfMatch: ETag })).toEqual(
        coded("S3_PRECONDITION_FAILED", { key: "public" }),
      );
      await removeAll(local);
    }
  });

  it("a data key is not wrapped if the object is overwritten during the verification, even in a store that ignores conditions", async () => {
    for (const knowsConditions of [true, false]) {
      await writer(optionsOf.V2).put({ ...at, Body: publicBody });
      await writer(optionsOf.V2).put({ Bucket, Key: "secret", Body: secretBody });
      const send = async (command: GetObjectCommand, callOptions: object) => {
        const { input } = command;
        if (!(command instanceof GetObjectCommand) || input.Key !== "public")
          return local.s3.send(command, callOptions);
        await copy("secret", "public");
        const { IfMatch, ...unconditional } = input;
        expect(IfMatch).toMatch(/^"/);
        const sent = knowsConditions ? command : new GetObjectCommand(unconditional);
        return local.s3.send(sent, callOptions);
      };
      const s3 = { config: local.s3.config, send } as unknown as S3Client;
      const { newKeyring, seen } = partner();
      const error = await errorOf(() =>
        writer({ s3, ...optionsOf.V2 }).reEncryptInstructionFile({
          ...at,
          newKeyring,
          instructionFileSuffix,
        }),
      );
      expect(error).toEqual(coded("S3_PRECONDITION_FAILED", { key: "public" }));
      expect(seen).toEqual([]);
      expect((await local.contents()).keys).not.toContain(`public${instructionFileSuffix}`);
    }
  });

  it("a data key of V2 is wrapped without reading the object with verifyContent: never", async () => {
    await writer(optionsOf.V2).put({ ...at, Body: publicBody });
    local.operations();
    const { newKeyring, seen } = partner();
    const input = { ...at, newKeyring, verifyContent: "never" } as const;
    await writer(optionsOf.V2).reEncryptInstructionFile(input);
    expect(local.operations()).toEqual(["HeadObject", "GetObject", "PutObject"]);
    expect(seen).toHaveLength(1);
  });

  it("a data key of V2 with additional authenticated data is wrapped if contentAad is stated", async () => {
    const dataKey = testBytes(32, 7);
    const [iv, wrapIv, contentAad] = [testBytes(12, 8), testBytes(12, 9), Buffer.from("more")];
    const seal = (key: Uint8Array, nonce: Uint8Array, authenticated: string | Buffer, bytes: Uint8Array) => {
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(authenticated));
      return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    };
    const wrapped = Buffer.concat([wrapIv, seal(s3ecKeys.aes, wrapIv, "AES/GCM/NoPadding", dataKey)]);
    const fields = {
      "x-amz-key-v2": wrapped.toString("base64"),
      "x-amz-iv": iv.toString("base64"),
      "x-amz-cek-alg": "AES/GCM/NoPadding",
      "x-amz-tag-len": "128",
      "x-amz-wrap-alg": "AES/GCM",
      "x-amz-matdesc": "{}",
    };
    await local.putRaw("public", seal(dataKey, iv, contentAad, publicBody));
    await local.putRaw("public.instruction", Buffer.from(JSON.stringify(fields)));
    expect(await refusal(optionsOf.V2)).toEqual(coded("DECRYPTION_FAILED"));
    const { newKeyring, seen } = partner();
    await writer(optionsOf.V2).reEncryptInstructionFile({ ...at, newKeyring, contentAad });
    expect(seen).toEqual([dataKey]);
  });
});

it("the data key of AES/CBC is refused before any key is used, unless verifyContent is never", async () => {
  const asked: string[] = [];
  const { keyring } = keysOf(local, "aes");
  const unwrapDataKey: LegacyKeyring["unwrapDataKey"] = async (input) => {
    asked.push(input.wrap.name);
    return keyring.unwrapDataKey(input);
  };
  const cipher = createCipheriv("aes-256-ecb", s3ecKeys.aes, null);
  const wrapped = Buffer.concat([cipher.update(testBytes(32, 7)), cipher.final()]).toString("base64");
  const fields = {
    "x-amz-key": wrapped,
    "x-amz-iv": testBytes(16).toString("base64"),
    "x-amz-matdesc": "{}",
  };
  await local.putRaw("public", testBytes(32, 8));
  await local.putRaw("public.instruction", Buffer.from(JSON.stringify(fields)));
  const options = {
    ...optionsOf.V2,
    enableLegacyUnauthenticatedModes: true,
    enableLegacyWrappingAlgorithms: true,
    keyring: { ...keyring, unwrapDataKey },
  };
  for (const verifyContent of [undefined, "when-needed", "always"] as const) {
    expect(await refusal(options, { verifyContent })).toEqual(
      coded("KEY_NOT_ROTATED", { option: "verifyContent" }),
    );
  }
  expect(asked).toEqual([]);
  const { newKeyring, seen } = partner();
  await writer(options).reEncryptInstructionFile({ ...at, newKeyring, verifyContent: "never" });
  expect(seen).toEqual([testBytes(32, 7)]);
});

it.each([
  [{ verifyContent: true }, /^verifyContent/],
  [{ IfMatch: "" }, /^IfMatch/],
  [{ contentAad: "more" }, /^contentAad/],
])("reEncryptInstructionFile checks %o before any request", async (input, message) => {
  const given = { ...at, newKeyring: partner().newKeyring, ...input } as never;
  expect((await errorOf(() => writer().reEncryptInstructionFile(given))).message).toMatch(message);
  expect(local.operations()).toEqual([]);
});
