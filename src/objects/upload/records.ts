/** Records that an upload stores for later calls: strict readers of their fields, and the key that authenticates them. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { encodeBase64 } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";

/** Returns the error for a record that this release cannot use. */
export function invalidRecord(
  field: string,
  fault: string,
  details: EnvelopeError["details"] = {},
): EnvelopeError {
  return new EnvelopeError("CHECKPOINT_INVALID", `${field}: ${fault}`, { details: { ...details, field } });
}

/** Reads the fields of one record. Each method throws `CHECKPOINT_INVALID` that names the field. */
export class RecordReader {
  readonly #record: Record<string, unknown>;
  readonly #title: string;
  readonly #details: EnvelopeError["details"];
  readonly #read = new Set<string>();

  /** @param title name of the record in error messages */
  constructor(title: string, value: unknown, details: EnvelopeError["details"] = {}) {
    this.#title = title;
    this.#details = details;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw invalidRecord(title, "expected an object", details);
    }
    this.#record = value as Record<string, unknown>;
  }

  /** Returns the error for a field. */
  invalid(name: string, fault: string): EnvelopeError {
    return invalidRecord(`${this.#title}.${name}`, fault, this.#details);
  }

  /** Whether the record has the field. */
  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  /** A string that is not empty, and that matches the pattern if one is given. */
  text(name: string, pattern?: RegExp): string {
    const value = this.#value(name);
    if (typeof value === "string" && value !== "" && (pattern?.test(value) ?? true)) return value;
    throw this.invalid(name, pattern ? `expected text that matches ${pattern}` : "expected a string");
  }

  /** The same, or undefined when the record does not have the field. */
  optionalText(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
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

  /** The same, or undefined when the record does not have the field. */
  optionalNumber(name: string): number | undefined {
    return this.has(name) ? this.number(name) : undefined;
  }

  /** An object whose values are strings, and whose names match the pattern if one is given. */
  texts(name: string, names?: RegExp): Readonly<Record<string, string>> {
    const entries = Object.entries(this.record(name));
    for (const [entry, value] of entries) {
      if (typeof value !== "string" || (names && !names.test(entry)))
        throw this.invalid(name, "expected an object of strings");
    }
    return Object.fromEntries(entries) as Record<string, string>;
  }

  /** An object of any fields. */
  record(name: string): Readonly<Record<string, unknown>> {
    const value = this.#value(name);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    throw this.invalid(name, "expected an object");
  }

  /** Throws when the record has a field that none of these methods has read. */
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

const keyLabel = "s3-envelope/upload-records@v1\0";
const macBytes = 32;

/** Matches a MAC in base64. */
export const macPattern: RegExp = /^[A-Za-z0-9+/]{43}=$/;

/**
 * The kinds of records. The MAC covers the kind, so a record of one kind is never accepted as another. Every record
 * except the ticket is bound to the ticket of its upload.
 */
export type RecordKind = "ticket" | "checkpoint" | "begun" | "part";

/** Authenticates the records of one upload, under a key that is derived from the data key of its object. */
export class RecordKey {
  readonly #key: KeyObject;

  constructor(dataKey: KeyObject) {
    // The blocks of HKDF start with another label, so this is never a key of the message.
    const bytes = createHmac("sha512", dataKey).update(keyLabel).digest();
    this.#key = createSecretKey(bytes);
    bytes.fill(0);
  }

  /**
   * Computes the MAC of a record, in base64.
   *
   * @param ticketMac the MAC of the ticket that the record belongs to; "" for a ticket
   * @param record JSON value whose fields have one order, wherever the record was stored
   */
  macOf(kind: RecordKind, ticketMac: string, record: unknown): string {
    const text = JSON.stringify([kind, ticketMac, record]);
    return encodeBase64(createHmac("sha512", this.#key).update(text).digest().subarray(0, macBytes));
  }

  /** Compares a MAC in constant time with the one that {@link macOf} computes. */
  verifies(kind: RecordKind, ticketMac: string, record: unknown, mac: string): boolean {
    const expected = Buffer.from(this.macOf(kind, ticketMac, record), "base64");
    const given = Buffer.from(mac, "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
