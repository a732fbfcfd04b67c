/** Strict readers of what an upload wrote down earlier: tickets, results of parts, lines of a checkpoint. */
import { EnvelopeError } from "../../base/errors.js";

/** The error for a record that this release cannot use. */
export function invalidRecord(
  field: string,
  fault: string,
  details: EnvelopeError["details"] = {},
): EnvelopeError {
  return new EnvelopeError("CHECKPOINT_INVALID", `${field}: ${fault}`, { details: { ...details, field } });
}

/** Reads the fields of one record; each reader throws `CHECKPOINT_INVALID` naming the field. */
export class RecordReader {
  readonly #record: Record<string, unknown>;
  readonly #title: string;
  readonly #details: EnvelopeError["details"];
  readonly #read = new Set<string>();

  constructor(title: string, value: unknown, details: EnvelopeError["details"] = {}) {
    this.#title = title;
    this.#details = details;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw invalidRecord(title, "expected an object", details);
    }
    this.#record = value as Record<string, unknown>;
  }

  /** The error for a field. */
  invalid(name: string, fault: string): EnvelopeError {
    return invalidRecord(`${this.#title}.${name}`, fault, this.#details);
  }

  /** Whether a field is there. */
  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  /** A string, not empty, that matches the pattern if there is one. */
  text(name: string, pattern?: RegExp): string {
    const value = this.#value(name);
    if (typeof value === "string" && value !== "" && (pattern?.test(value) ?? true)) return value;
    throw this.invalid(name, pattern ? `expected text that matches ${pattern}` : "expected a string");
  }

  /** A string, or nothing. */
  optionalText(name: string): string | undefined {
    return this.#value(name) === undefined ? undefined : this.text(name);
  }

  integer(name: string, least: number, most: number): number {
    const value = this.#value(name);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most)
      return value;
    throw this.invalid(name, `expected an integer from ${least} to ${most}`);
  }

  number(name: string): number {
    const value = this.#value(name);
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.invalid(name, "expected a number");
  }

  /** A number, or nothing. */
  optionalNumber(name: string): number | undefined {
    return this.#value(name) === undefined ? undefined : this.number(name);
  }

  /** Names and texts. */
  texts(name: string, names?: RegExp): Readonly<Record<string, string>> {
    const entries = Object.entries(this.record(name));
    for (const [entry, value] of entries) {
      if (typeof value !== "string" || (names && !names.test(entry)))
        throw this.invalid(name, "expected names and strings");
    }
    return Object.fromEntries(entries) as Record<string, string>;
  }

  /** Any object. */
  record(name: string): Readonly<Record<string, unknown>> {
    const value = this.#value(name);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    throw this.invalid(name, "expected an object");
  }

  /** Throws when there are fields that nobody has asked for. */
  end(): void {
    for (const [name, value] of Object.entries(this.#record)) {
      if (value !== undefined && !this.#read.has(name))
        throw invalidRecord(this.#title, "it has a field that this release does not know", this.#details);
    }
  }

  #value(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#record, name) ? this.#record[name] : undefined;
  }
}
