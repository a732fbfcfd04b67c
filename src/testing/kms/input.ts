/** Parsers for the fields of requests to the in-process KMS. */
import { kmsFault } from "./key-store.js";

/** The parsed JSON of a request; not to be trusted. */
export type Input = Readonly<Record<string, unknown>>;
/** The JSON of a response. */
export type Output = Readonly<Record<string, unknown>>;

const maxContextBytes = 8192;

/** A field that must be a string of at least one character. */
export function text(input: Input, field: string): string {
  const value = input[field];
  if (typeof value === "string" && value !== "") return value;
  throw kmsFault("ValidationException", `${field} must be a non-empty string`);
}

/** An optional field that must be a string of at least one character. */
export function optionalText(input: Input, field: string): string | undefined {
  return input[field] === undefined ? undefined : text(input, field);
}

/** A field of bytes in base64. */
export function blob(input: Input, field: string, maxBytes: number): Buffer {
  const bytes = Buffer.from(text(input, field), "base64");
  if (bytes.length >= 1 && bytes.length <= maxBytes) return bytes;
  throw kmsFault("ValidationException", `${field} must have 1 to ${maxBytes} bytes`);
}

/** An encryption context; empty if the field is missing. */
export function context(input: Input, field: string): Readonly<Record<string, string>> {
  const value = input[field] ?? {};
  if (
    typeof value !== "object" ||
    Array.isArray(value) ||
    !Object.values(value).every((one) => typeof one === "string")
  ) {
    throw kmsFault("ValidationException", `${field} must map strings to strings`);
  }
  const context = value as Record<string, string>;
  const bytes = Object.entries(context)
    .flat()
    .reduce((sum, one) => sum + Buffer.byteLength(one), 0);
  if (bytes > maxContextBytes) {
    throw kmsFault("ValidationException", `${field} must have at most ${maxContextBytes} bytes`);
  }
  return context;
}
