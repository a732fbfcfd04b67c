/** Bytes and text: strict decoding, comparison, canonical ASCII, text that is safe to print. */

/** The most characters of a name from elsewhere in a message: more than any ARN or error code has. */
const maxNameLength = 256;
/** The most characters of a key or a path in a message. A key of S3 has at most 1,024 bytes. */
const maxQuotedLength = 1024;
/** Of more names, a list in a message or in the details of an error has this many. */
const listedNames = 20;

/** Decodes base64 in its one canonical form; undefined for anything else. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

/** Encodes bytes as base64. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Collects the pieces of an iterable that is known to be small. */
export async function collectBytes(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const collected: Uint8Array[] = [];
  for await (const piece of pieces) collected.push(piece);
  return Buffer.concat(collected);
}

/** Orders two strings by their UTF-8 bytes, never by locale or UTF-16 code unit. */
export function compareUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** Whether a string has a lone surrogate, so that no UTF-8 stands for it. */
export function isIllFormed(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/**
 * Control characters (C0, DEL, C1), format characters (which reorder or hide text), line and paragraph separators, and
 * lone surrogates: what starts a new line in a log, drives a terminal or reads as something else.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Text from elsewhere as it may stand in a message or in a log: in one line, every character that cannot be seen escaped
 * as JavaScript writes it, such as \n, \u001b or \u{e0001}, at most so many characters. All other text, in any script, stays as it is.
 */
export function printable(text: string, maxLength = maxNameLength): string {
  return clip(clip(text, maxLength).replace(unprintable, escapeCharacter), maxLength);
}

/** A key, a path or another name in quotes, for a message. */
export function quoted(text: string): string {
  return `"${printable(text, maxQuotedLength)}"`;
}

/** Names for a message; of many, the {@link firstNames}. */
export function listed(names: readonly string[], separator = ", "): string {
  return firstNames(names).join(separator);
}

/** The first 20 names and how many more there are. A list of 21 stays as it is, as does what this has made. */
export function firstNames<T>(names: readonly T[]): readonly (T | string)[] {
  if (names.length <= listedNames + 1) return names;
  return [...names.slice(0, listedNames), `and ${names.length - listedNames} more`];
}

function clip(text: string, maxLength: number): string {
  return text.length > maxLength
    ? `${text.slice(0, maxLength - 3).replace(/[\ud800-\udbff]$/, "")}...`
    : text;
}

function escapeCharacter(character: string): string {
  if (character < " ") return JSON.stringify(character).slice(1, -1);
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
}

/** A JSON string of printable ASCII: everything else is escaped as \uXXXX, in lower-case hex. */
export function asciiJsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
