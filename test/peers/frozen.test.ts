/** The frozen objects of other clients: whole, told apart, and small. */
import { expect, test } from "vitest";
import { readFrozen } from "./frozen.js";

const files = readFrozen();

test.each(files)("$path: each case names a key of its file, and has its parts", ({ keys, cases }) => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  for (const { name, key, storage, instructionFile, dataKey, object, content, plaintext } of cases) {
    expect(keys[key], name).toBeDefined();
    expect(instructionFile !== undefined, name).toBe(storage === "instruction");
    expect(dataKey !== undefined, name).toBe(key === "kms");
    const { length } = plaintext;
    const stored = content === "AES/CBC/PKCS5Padding" ? length - (length % 16) + 16 : length + 16;
    expect(Buffer.from(object.body, "base64").length, name).toBe(stored);
  }
});

test("the Java clients' are there: each content, wrap and place that they write", () => {
  const java = files.filter(({ path }) => path.startsWith("s3ec-java-")).flatMap(({ cases }) => cases);
  const kinds = java.map(({ content, wrap, storage }) => `${content} ${wrap} ${storage}`);
  const gcm = ["kms", "kms+context", "AESWrap", "AES/GCM", "RSA-OAEP-SHA1"];
  const expected = [
    ...["12", "02", "22"].map((wrap) => `115 ${wrap}`),
    ...[...gcm, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"].map((wrap) => `AES/GCM/NoPadding ${wrap}`),
    ...["kms", "AES", "RSA"].map((wrap) => `AES/CBC/PKCS5Padding ${wrap}`),
  ].flatMap((kind) => [`${kind} metadata`, `${kind} instruction`]);
  expect([...new Set(kinds)].sort()).toEqual(expected.sort());
});
