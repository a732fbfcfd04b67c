/** Bytes and text: strict decoding, comparison, ASCII JSON, and text that is safe to print. */

/** The maximum length of an external name in a message: longer than any ARN or error code. */
const maxNameLength = 256;
/** The maximum length of a key or a path in a message. An S3 key has at most 1,024 bytes. */
const maxQuotedLength = 1024;
/** The number of names that a longer list keeps in a message or in the details of an error. */
const listedNames = 20;

/** Decodes base64 in its canonical form; undefined for any other text. */
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

/** Copies bytes into memory of their own: a view keeps all the memory behind it alive. */
export function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

/** Compares two strings by their UTF-8 bytes, not by locale or UTF-16 code unit. */
export function compareUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** Whether a string contains a lone surrogate, which UTF-8 cannot encode. */
export function isIllFormed(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/**
 * Control characters (C0, DEL, C1), format characters (which reorder or hide text), line and paragraph separators, and
 * lone surrogates: characters that start a new line in a log, control a terminal or display as other text.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Makes external text safe for a message or a log: one line of at most `maxLength` characters, in which every invisible
 * character is escaped as in JavaScript, such as \n, \u001b or \u{e0001}. All other text, in any script, is unchanged.
 */
export function printable(text: string, maxLength = maxNameLength): string {
  return clip(clip(text, maxLength).replace(unprintable, escapeCharacter), maxLength);
}

/** Quotes a key, a path or another name for a message. */
export function quoted(text: string): string {
  return `"${printable(text, maxQuotedLength)}"`;
}

/** Joins names for a message; of a long list, the {@link firstNames}. */
export function listed(names: readonly string[], separator = ", "): string {
  return firstNames(names).join(separator);
}

/** The first 20 names and the number of the others. A list of up to 21 is unchanged, and so is a result of this function. */
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

/** Encodes text as a JSON string of printable ASCII. All other characters are escaped as \uXXXX, in lower-case hex. */
export function asciiJsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
