import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EnvelopeError } from "../../../src/base/errors.js";
import type { LegacyEnvelope } from "../../../src/s3ec/envelope.js";
import { decodeInstructionFile, decodeOldNetInstructionFile } from "../../../src/s3ec/instruction-file.js";
import { unwrapContentKeys } from "../../../src/s3ec/keyrings/unwrap.js";
import {
  decodeLegacyMetadata,
  type InInstructionFile,
  isLegacyMetadata,
} from "../../../src/s3ec/metadata.js";
import { legacyNames } from "../../../src/s3ec/names.js";
import { wraps } from "../../../src/s3ec/suites.js";
import { everyKeyring, lax, type Metadata, splitV3, v1, v2, v3 } from "../support.js";

const user = { tenant: "42", é: "=?" };
const objects: Record<string, Metadata> = {
  "V1 AES": v1(wraps.aesEcb, user),
  "V1 RSA": v1(wraps.rsaPkcs1, user),
  "V2 kms": v2(wraps.kms, user),
  "V2 kms CBC": v2(wraps.kms, user, "AES/CBC/PKCS5Padding"),
  "V2 kms+context": v2(wraps.kmsContext, user),
  "V2 AESWrap": v2(wraps.aesWrap, user),
  "V2 AES/GCM": v2(wraps.aesGcm, user),
  "V2 OAEP": v2(wraps.rsaOaepSha1, user),
  "V2 OAEP CBC": v2(wraps.rsaOaepSha1, user, "AES/CBC/PKCS5Padding"),
  "V3 kms+context": v3(wraps.kmsContext, user),
  "V3 AES/GCM": v3(wraps.aesGcm, user),
  "V3 OAEP": v3(wraps.rsaOaepSha1, user),
};

const allNames = Object.values(legacyNames);
const known = [
  ...Object.values(wraps).flatMap(({ name, code }) => [name, code ?? ""]),
  ...[
    "AES/CBC/PKCS5Padding",
    "AES/CBC/PKCS7Padding",
    "AES/GCM/NoPadding",
    "115",
    "114",
    "{}",
    "null",
    "128",
    "0",
  ],
];

interface Edit {
  readonly kind: "character" | "remove" | "rename" | "value" | "add";
  readonly at: number;
  readonly position: number;
  readonly character: string;
  readonly name: string;
  readonly value: string;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom("character", "remove", "rename", "value", "add"),
  at: fc.nat(),
  position: fc.nat(),
  character: fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    fc.constantFrom(...'AB01+/={}"\\: \n'),
  ),
  name: fc.oneof(fc.constantFrom(...allNames), fc.string()),
  value: fc.oneof(fc.constantFrom(...known, ...Object.values(objects).flatMap(Object.values)), fc.string()),
});

function edited(metadata: Metadata, { kind, at, position, character, name, value }: Edit): Metadata {
  const entries = Object.entries(metadata);
  const [old, text] = entries[at % entries.length] ?? ["", ""];
  const index = text.length === 0 ? 0 : position % text.length;
  const changed: Record<Edit["kind"], [string, string][]> = {
    character: [[old, text.slice(0, index) + character + text.slice(index + 1)]],
    remove: [],
    rename: [[name, text]],
    value: [[old, value]],
    add: [
      [old, text],
      [name, value],
    ],
  };
  return Object.fromEntries([...entries.filter(([other]) => other !== old), ...changed[kind]]);
}

/** The content of an object, or undefined when it is refused with a coded error. */
async function opened(decode: () => LegacyEnvelope | InInstructionFile) {
  try {
    const envelope = decode();
    if ("needsInstructionFile" in envelope) return undefined;
    const keys = await unwrapContentKeys(envelope, {
      keyrings: everyKeyring(),
      policy: lax,
      expected: "any",
      isRange: false,
    });
    return {
      suite: keys.suite,
      key: keys.key.export(),
      aad: keys.aad,
      commits: envelope.commitment !== undefined,
    };
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined;
    throw error;
  }
}

describe("edited objects", () => {
  it.each(Object.entries(objects))(
    "an edited object of %s opens with its original content or not at all",
    async (_, metadata) => {
      const original = await opened(() => decodeLegacyMetadata(metadata));
      expect(original).toBeDefined();
      await fc.assert(
        fc.asyncProperty(edit, async (change) => {
          const result = await opened(() => decodeLegacyMetadata(edited(metadata, change)));
          if (result) expect(result).toEqual(original);
        }),
        { numRuns: 300 },
      );
    },
  );

  it.each(Object.entries(objects))(
    "an edited object of %s with an instruction file opens with its original content or not at all",
    async (_, metadata) => {
      const isV3 = "x-amz-3" in metadata;
      const { onObject, file } = isV3 ? splitV3(metadata) : { onObject: {}, file: metadata };
      const found = decodeLegacyMetadata(onObject) as InInstructionFile;
      const read = (fields: unknown) => () =>
        decodeInstructionFile(Buffer.from(JSON.stringify(fields)), found);
      const original = await opened(read(file));
      expect(original).toBeDefined();
      await fc.assert(
        fc.asyncProperty(edit, async (change) => {
          const result = await opened(read(edited(file, change)));
          if (result) expect(result).toEqual(original);
        }),
        { numRuns: 300 },
      );
    },
  );

  it("a change of any character of a wrapped key, a commitment or a message id is refused", async () => {
    for (const metadata of Object.values(objects)) {
      for (const name of [
        "x-amz-key",
        "x-amz-key-v2",
        "x-amz-3",
        "x-amz-d",
        "x-amz-i",
        "x-amz-c",
        "x-amz-w",
      ]) {
        const text = metadata[name] ?? "";
        for (const [index, character] of [...text].entries()) {
          const other = character === "A" ? "B" : "A";
          const changed = `${text.slice(0, index)}${other}${text.slice(index + 1)}`;
          expect(await opened(() => decodeLegacyMetadata({ ...metadata, [name]: changed }))).toBeUndefined();
        }
      }
    }
  });
});

describe("random metadata and files", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 100 }),
    fc.json({ maxDepth: 2 }),
    fc.base64String({ maxLength: 64 }),
    fc.constantFrom(...known, ...Object.values(objects).flatMap(Object.values)),
  );
  const name = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...allNames) },
    fc.string(),
    fc.constant("__proto__"),
  );
  const metadata = fc.array(fc.tuple(name, text), { maxLength: 8 }).map((pairs) => Object.fromEntries(pairs));
  const found = fc.constantFrom(
    decodeLegacyMetadata({}) as InInstructionFile,
    decodeLegacyMetadata(splitV3(v3(wraps.aesGcm)).onObject) as InInstructionFile,
  );

  it("random metadata gives an envelope or a coded error", async () => {
    await fc.assert(
      fc.asyncProperty(metadata, async (fields) => {
        expect(typeof isLegacyMetadata(fields)).toBe("boolean");
        await opened(() => decodeLegacyMetadata(fields));
      }),
      { numRuns: 3000 },
    );
  });

  it("a random instruction file gives an envelope or a coded error", async () => {
    const file = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.json().map((json) => Buffer.from(json)),
      fc
        .array(fc.tuple(name, fc.oneof(text, fc.jsonValue({ maxDepth: 1 }))), { maxLength: 8 })
        .map((pairs) =>
          Buffer.from(`{${pairs.map((pair) => pair.map((part) => JSON.stringify(part)).join(":"))}}`),
        ),
    );
    await fc.assert(
      fc.asyncProperty(file, found, async (bytes, of) => {
        await opened(() => decodeInstructionFile(bytes, of));
        await opened(() => decodeOldNetInstructionFile(bytes, of));
      }),
      { numRuns: 3000 },
    );
  });
});
