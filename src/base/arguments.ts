/** Checks of arguments: each check returns the value, or throws an error that names the argument. */
import { types } from "node:util";
import { isIllFormed, printable } from "./bytes.js";

/** Describes a value for an error message by its type or its class, never by its content. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "number") return `the number ${value}`;
  if (typeof value !== "object") return value === undefined ? "undefined" : `a ${typeof value}`;
  if (types.isPromise(value)) return "a Promise that was not awaited";
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor
    ?.name;
  return typeof name === "string" && name !== "" ? `an instance of ${printable(name)}` : "an object";
}

/** A TypeError that names the argument, the expected type and the actual one. */
export function wrongType(title: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${title}: expected ${expected}, got ${describe(value)}`);
}

/** Checks bytes and, if it is given, their length. */
export function bytesArgument(title: string, value: unknown, length?: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw wrongType(title, "a Uint8Array", value);
  if (length !== undefined && value.length !== length) {
    throw new RangeError(`${title}: expected ${length} bytes, got ${value.length}`);
  }
  return value;
}

/** Checks a string of at least one character. */
export function stringArgument(title: string, value: unknown): string {
  if (typeof value !== "string") throw wrongType(title, "a string", value);
  if (value === "") throw new RangeError(`${title}: expected a non-empty string, got an empty one`);
  return value;
}

/** Checks a string of at least one character that can be encoded as UTF-8. */
export function textArgument(title: string, value: unknown): string {
  const text = stringArgument(title, value);
  if (isIllFormed(text)) throw new RangeError(`${title}: expected well-formed Unicode, got a lone surrogate`);
  return text;
}

/** Checks an integer between two bounds, both included. */
export function integerArgument(title: string, value: unknown, least: number, most: number): number {
  if (typeof value !== "number") throw wrongType(title, "an integer", value);
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new RangeError(`${title}: expected an integer from ${least} to ${most}, got ${value}`);
  }
  return value;
}

/** Checks an object that is neither null nor an array. */
export function objectArgument(title: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(title, "an object", value);
  }
  return value as Record<string, unknown>;
}

/** Checks a plain object of names and values: not a Map, whose entries would be ignored, and not an instance of a class. */
export function recordArgument(title: string, value: unknown): Record<string, unknown> {
  const record = objectArgument(title, value);
  const prototype: unknown = Object.getPrototypeOf(record);
  // A prototype that has none itself is Object.prototype, of this realm or of another.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return record;
  throw wrongType(title, "a plain object", value);
}

/** Checks one of a closed set of strings or booleans. */
export function choiceArgument<T extends string | boolean>(
  title: string,
  value: unknown,
  choices: readonly T[],
): T {
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  const expected = `one of ${choices.map((candidate) => JSON.stringify(candidate)).join(", ")}`;
  throw typeof value === "string"
    ? new RangeError(`${title}: expected ${expected}, got another string`)
    : wrongType(title, expected, value);
}
