/** Bytes and text: strict decoding, comparison, canonical ASCII. */

/** Longer than any ARN that is not made to be long. */
const maxPrintableLength = 256;

/** Decodes base64 in its one canonical form; undefined for anything else. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

/** Encodes bytes as base64. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Orders two strings by their UTF-8 bytes, never by locale or UTF-16 code unit. */
export function compareUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** Whether a string has a lone surrogate, so that no UTF-8 stands for it. */
export function isIllFormed(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/** Text from elsewhere as it may stand in a message: printable ASCII, not too long. */
export function printable(text: string): string {
  const clipped = text.length > maxPrintableLength ? `${text.slice(0, maxPrintableLength)}...` : text;
  return asciiJsonString(clipped).slice(1, -1);
}

/** A JSON string of printable ASCII: everything else is escaped as \uXXXX, in lower-case hex. */
export function asciiJsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
