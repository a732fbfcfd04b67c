/** Authenticates what an upload writes down for later calls, under a key that only readers of its data key can have. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { encodeBase64 } from "../../base/bytes.js";

const keyLabel = "s3-envelope/upload-records@v1\0";
const macBytes = 32;

/** What a MAC in base64 looks like. */
export const macPattern: RegExp = /^[A-Za-z0-9+/]{43}=$/;

/**
 * The kinds of records. None can pass for another: the kind is under the MAC. All but the ticket are bound to the
 * ticket of their upload.
 */
export type RecordKind = "ticket" | "checkpoint" | "begun" | "part";

/** The key under which the records of one upload are authenticated. */
export class RecordKey {
  readonly #key: KeyObject;

  /** @param dataKey of the upload's object */
  constructor(dataKey: KeyObject) {
    // HKDF's blocks start with another label, so that no key of the message can come out here.
    const bytes = createHmac("sha512", dataKey).update(keyLabel).digest();
    this.#key = createSecretKey(bytes);
    bytes.fill(0);
  }

  /**
   * The MAC of a record, in base64.
   *
   * @param ticketMac the MAC of the ticket that the record belongs to; of a ticket ""
   * @param record as JSON keeps it, its fields in an order that does not depend on where it was kept
   */
  macOf(kind: RecordKind, ticketMac: string, record: unknown): string {
    const text = JSON.stringify([kind, ticketMac, record]);
    return encodeBase64(createHmac("sha512", this.#key).update(text).digest().subarray(0, macBytes));
  }

  /** Whether this is the MAC of the record. */
  verifies(kind: RecordKind, ticketMac: string, record: unknown, mac: string): boolean {
    const expected = Buffer.from(this.macOf(kind, ticketMac, record), "base64");
    const given = Buffer.from(mac, "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
