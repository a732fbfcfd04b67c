/** Decodes the fields of an envelope, for each version of the formats. docs/guides/legacy-objects.md has the tables of fields. */

import type { EncryptionContext } from "../keys/encryption-context.js";
import { legacyCommitmentBytes } from "./commitment.js";
import type { LegacyEnvelope } from "./envelope.js";
import {
  base64Field,
  type LegacyFields,
  malformed,
  parseDescription,
  textField,
  wrappedKeyField,
} from "./fields.js";
import { legacyNames as names } from "./names.js";
import { decodeMetadataText } from "./rfc2047.js";
import {
  type ContentSuite,
  cbcSuite,
  committingSuite,
  gcmSuite,
  type LegacyFormat,
  type WrapAlgorithm,
  wraps,
} from "./suites.js";

/** The content fields of an object of V3, which are always in its own metadata. */
export interface CommittedContent {
  readonly messageId: Buffer;
  readonly commitment: Buffer;
}

/** The names of these fields. */
export const committedContentNames = [names.contentV3, names.commitment, names.messageId] as const;

const informative = [names.contentLength, names.contentMd5];
const v2Wraps = [
  wraps.kms,
  wraps.kmsContext,
  wraps.aesWrap,
  wraps.aesGcm,
  wraps.rsaOaepSha256,
  wraps.rsaOaepSha1,
];
const v3Wraps = Object.values(wraps).filter(({ code }) => code !== undefined);

/** The name of the wrapped key shows the version. */
const wrappedKeys: readonly (readonly [name: string, format: LegacyFormat])[] = [
  [names.wrappedKeyV1, "V1"],
  [names.wrappedKeyV2, "V2"],
  [names.wrappedKeyV3, "V3"],
];

/**
 * The version of an envelope, by its wrapped key.
 *
 * @returns undefined when there is none
 */
export function formatOf({ storage, values }: LegacyFields): LegacyFormat | undefined {
  const [first, second] = wrappedKeys.filter(([name]) => values.has(name));
  if (first && second) {
    throw malformed(storage, second[0], `expected none beside ${first[0]}, as an object has one wrapped key`);
  }
  return first?.[1];
}

/** Decodes V1, which names no algorithm: the content is AES/CBC. */
export function decodeV1(fields: LegacyFields): LegacyEnvelope {
  allowOnly(fields, "V1", [names.wrappedKeyV1, names.iv, names.description, ...informative]);
  return {
    format: "V1",
    suite: cbcSuite,
    wrap: undefined,
    wrappedKey: wrappedKeyField(fields, names.wrappedKeyV1),
    iv: base64Field(fields, names.iv, cbcSuite.ivBytes),
    commitment: undefined,
    description: descriptionField(fields, names.description),
    contentName: "",
    storage: fields.storage,
  };
}

/** Decodes V2, which names both algorithms. Neither has a default. */
export function decodeV2(fields: LegacyFields): LegacyEnvelope {
  allowOnly(fields, "V2", [
    names.wrappedKeyV2,
    names.iv,
    names.description,
    names.wrap,
    names.content,
    names.tagLength,
    ...informative,
  ]);
  const contentName = textField(fields, names.content);
  const suite = algorithmField(
    fields,
    names.content,
    [gcmSuite, cbcSuite],
    ({ contentNames }) => contentNames,
  );
  requireTagLength(fields, suite);
  return {
    format: "V2",
    suite,
    wrap: algorithmField(fields, names.wrap, v2Wraps, ({ name }) => [name]),
    wrappedKey: wrappedKeyField(fields, names.wrappedKeyV2),
    iv: base64Field(fields, names.iv, suite.ivBytes),
    commitment: undefined,
    description: descriptionField(fields, names.description),
    contentName,
    storage: fields.storage,
  };
}

/**
 * Decodes V3.
 *
 * @param content the content fields, from the metadata of the object
 */
export function decodeV3(fields: LegacyFields, content: CommittedContent): LegacyEnvelope {
  const wrap = algorithmField(fields, names.wrapV3, v3Wraps, ({ code }) =>
    code === undefined ? [] : [code],
  );
  return {
    format: "V3",
    suite: committingSuite,
    wrap,
    wrappedKey: wrappedKeyField(fields, names.wrappedKeyV3),
    iv: content.messageId,
    commitment: content.commitment,
    description: descriptionV3(fields, wrap),
    contentName: committingSuite.contentNames[0],
    storage: fields.storage,
  };
}

/** The names of the fields of V3 about the wrapped data key. */
export const wrappingNamesV3 = [
  names.wrappedKeyV3,
  names.wrapV3,
  names.contextV3,
  names.descriptionV3,
] as const;

/** Decodes the content fields of an object of V3. */
export function decodeCommittedContent(fields: LegacyFields): CommittedContent {
  algorithmField(fields, names.contentV3, [committingSuite], ({ contentNames }) => contentNames);
  return {
    messageId: base64Field(fields, names.messageId, committingSuite.ivBytes),
    commitment: base64Field(fields, names.commitment, legacyCommitmentBytes),
  };
}

/** Refuses the fields of other versions: with a mixture, two clients could read one object differently. */
export function allowOnly(
  { storage, values }: LegacyFields,
  format: LegacyFormat,
  allowed: readonly string[],
): void {
  for (const name of values.keys()) {
    if (allowed.includes(name)) continue;
    throw malformed(storage, name, `it does not belong to format ${format}, the format of the other fields`);
  }
}

function algorithmField<T extends ContentSuite | WrapAlgorithm>(
  fields: LegacyFields,
  name: string,
  choices: readonly T[],
  textsOf: (choice: T) => readonly string[],
): T {
  const text = textField(fields, name);
  const choice = choices.find((candidate) => textsOf(candidate).includes(text));
  if (choice) return choice;
  const expected = choices.flatMap(textsOf).map((known) => `"${known}"`);
  throw malformed(fields.storage, name, `expected ${expected.join(" or ")}`);
}

/** Some clients omit the tag length, and the C++ client wrote "0" for AES/CBC. A shorter tag is never accepted. */
function requireTagLength({ storage, values }: LegacyFields, suite: ContentSuite): void {
  const text = values.get(names.tagLength);
  const expected = String(suite.tagBytes * 8);
  if (text === undefined || text === expected) return;
  throw malformed(storage, names.tagLength, `expected "${expected}" or nothing`);
}

/**
 * Decodes the encryption context or the material description. KMS has its context in one field, raw keys have their
 * description in another; the C++ client writes both into the first. An empty map counts as missing.
 */
function descriptionV3(fields: LegacyFields, wrap: WrapAlgorithm): EncryptionContext {
  const context = descriptionField(fields, names.contextV3);
  const description = descriptionField(fields, names.descriptionV3);
  if (Object.keys(description).length === 0) return context;
  if (Object.keys(context).length === 0 && wrap.keyType !== "kms") return description;
  throw malformed(
    fields.storage,
    names.descriptionV3,
    `expected none beside ${names.contextV3}, or with the wrap "kms+context"`,
  );
}

function descriptionField({ storage, values }: LegacyFields, name: string): EncryptionContext {
  const text = values.get(name);
  if (text === undefined || storage === "instruction-file") return parseDescription(storage, name, text);
  const decoded = decodeMetadataText(text);
  if (decoded === undefined) throw malformed(storage, name, "expected RFC 2047 words in UTF-8");
  return parseDescription(storage, name, decoded);
}
