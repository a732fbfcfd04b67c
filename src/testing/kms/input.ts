/** What requests to the in-process KMS say, field by field. */
import { kmsFault } from "./key-store.js";

/** The parsed JSON of a request; not to be trusted. */
export type Input = Readonly<Record<string, unknown>>;
/** What is answered as JSON. */
export type Output = Readonly<Record<string, unknown>>;

const maxContextBytes = 8192;

/** A field that must be a string of at least one character. */
export function text(input: Input, field: string): string {
  const value = input[field];
  if (typeof value === "string" && value !== "") return value;
  throw kmsFault("ValidationException", `${field} must be a non-empty string`);
}

/** The same, where the field may be missing. */
export function optionalText(input: Input, field: string): string | undefined {
  return input[field] === undefined ? undefined : text(input, field);
}

/** Bytes that a field has in base64. */
export function blob(input: Input, field: string, maxBytes: number): Buffer {
  const bytes = Buffer.from(text(input, field), "base64");
  if (bytes.length >= 1 && bytes.length <= maxBytes) return bytes;
  throw kmsFault("ValidationException", `${field} must have 1 to ${maxBytes} bytes`);
}

/** An encryption context; empty where the field is missing. */
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
