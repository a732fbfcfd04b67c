/** Objects that Amazon's clients and this one wrote are read, offline and for ever. test/vectors/README.md tells of them. */
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { readFrozen } from "../peers/frozen.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { allowAll } from "../support/legacy-objects.js";
import { everyNth } from "../support/tier.js";
import { cbc, decryptFrozen, frozenKeyring, neededOptions, otherKeyring } from "./frozen-support.js";

const files = readFrozen();

test("all clients and their versions are there", () => {
  expect(files.map(({ path, cases }) => [path, cases.length])).toEqual([
    ["s3ec-go-sdk1/1.55.8.json", 42],
    ["s3ec-go-v3/3.2.0.json", 8],
    ["s3ec-java-sdk1/1.12.797.json", 161],
    ["s3ec-java-v3/3.5.0.json", 46],
    ["s3ec-java-v4/4.0.1.json", 92],
    ["s3ec-php/3.376.2.json", 48],
    ["s3ec-python-v4/4.0.0.json", 16],
    ["s3ec-ruby/1.169.0.json", 81],
    ["s3ec-s3-envelope/0.1.0.json", 90],
  ]);
});

describe.each(files)("$path", (frozen) => {
  const cases = frozen.cases.map((one) => [one.name, one] as const);

  test.each(cases)("%s is read", async (_, one) => {
    const body = Buffer.from(one.object.body, "base64");
    const plaintext = testBytes(one.plaintext.length, one.plaintext.seed);
    expectBytes(await decryptFrozen(frozen, one), plaintext);
    const bytes = Array.from(body, (_, index) => body.subarray(index, index + 1));
    expectBytes(await decryptFrozen(frozen, one, { Body: Readable.from(bytes) }), plaintext);
    const streamed = { ...allowAll, releaseUnverifiedPlaintext: true };
    expectBytes(await decryptFrozen(frozen, one, { Body: Readable.from([body]) }, streamed), plaintext);
    // Of the oldest wrap the context says nothing of the content, and SES's readers know none.
    if (one.wrap === "kms") {
      expectBytes(await decryptFrozen(frozen, one, { encryptionContext: undefined }), plaintext);
    }
  });

  const some = everyNth(cases, 3);
  test.each(some)("%s is refused without each option that it takes", async (_, one) => {
    const needed = neededOptions(one);
    const asked: string[] = [];
    const keyring = {
      ...frozenKeyring(frozen, one),
      async unwrapDataKey(): Promise<never> {
        asked.push(one.name);
        throw new Error("the policy comes first");
      },
    };
    for (const option of needed) {
      const { [option]: _without, ...others } = allowAll;
      const error = await errorOf(() => decryptFrozen(frozen, one, {}, { ...others, keyring }));
      expect(error, option).toEqual(coded("LEGACY_REFUSED", { option, format: one.format }));
    }
    const [option] = needed;
    if (option !== undefined) {
      const error = await errorOf(() => decryptFrozen(frozen, one, {}, { keyring }));
      expect(error).toEqual(coded("LEGACY_REFUSED", { option }));
    } else {
      const plaintext = testBytes(one.plaintext.length, one.plaintext.seed);
      expectBytes(await decryptFrozen(frozen, one, {}, {}), plaintext);
    }
    expect(asked).toEqual([]);
  });

  test.each(some)("%s is refused with other bytes, keys and contexts", async (_, one) => {
    const body = Buffer.from(one.object.body, "base64");
    const refused = (...rest: [object, object?]) => errorOf(() => decryptFrozen(frozen, one, ...rest));
    if (one.content !== cbc) {
      for (const index of [0, body.length - 1]) {
        const Body = Buffer.from(body);
        Body[index] = (Body[index] ?? 0) ^ 1;
        expect(await refused({ Body })).toEqual(coded("DECRYPTION_FAILED"));
      }
    }
    if (one.contentAad !== undefined) {
      expect(await refused({}, { ...allowAll, contentAad: undefined })).toEqual(coded("DECRYPTION_FAILED"));
    }
    const keyring = otherKeyring(frozen, one);
    const code = one.key === "kms" ? "KEY_NOT_FOR_OBJECT" : "DECRYPTION_FAILED";
    expect(await refused({}, { ...allowAll, keyring })).toEqual(coded(code));
    const encryptionContext = { tenant: "43" };
    expect(await refused({ encryptionContext })).toEqual(coded("CONTEXT_MISMATCH"));
    if (one.instructionFile) {
      expect(await refused({ instructionFile: undefined })).toEqual(coded("ENVELOPE_MISSING"));
    }
  });
});
