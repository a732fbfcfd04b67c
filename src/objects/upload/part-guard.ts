/** What the parts of an upload were made of, so that none is ever sealed of two plaintexts. */

import { sourceChanged } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { type PartLayout, type PartSeal, partRange } from "./parts.js";
import type { UploadTicket } from "./ticket.js";

/** Knows of each part what it was made of first, and refuses it when it was made of something else. */
export class PartGuard {
  readonly #layout: PartLayout;
  /** By part number; 64 bytes each, one a character: a client remembers many. */
  readonly #seals = new Map<number, string>();
  /** The parts that are remembered for good. */
  readonly #required = new Set<number>();
  readonly #onGrowth: (parts: number) => void;

  /** @param onGrowth told how many parts more are known, or fewer */
  constructor(layout: PartLayout, onGrowth: (parts: number) => void = () => undefined) {
    this.#layout = layout;
    this.#onGrowth = onGrowth;
  }

  /** How many parts are known. */
  get size(): number {
    return this.#seals.size;
  }

  /** Whether the part is remembered for good: it was sent, or is about to be. */
  has(partNumber: number): boolean {
    return this.#required.has(partNumber);
  }

  /**
   * Compares a part with what is known of it, and with its neighbours where a chunk lies in both, and remembers it for
   * good. Nothing may be awaited between this and the moment from which the part may be sent.
   *
   * @throws EnvelopeError `SOURCE_CHANGED`
   */
  require(partNumber: number, seal: PartSeal): void {
    this.expect(partNumber, seal);
    this.#required.add(partNumber);
  }

  /**
   * Compares as {@link require} does, and remembers the part until {@link forget}: while it is found out whether it
   * may be sent, no other plaintext may take its place.
   *
   * @throws EnvelopeError `SOURCE_CHANGED`
   */
  expect(partNumber: number, seal: PartSeal): void {
    const known = this.#known(partNumber);
    if (known && known.tagDigest !== seal.tagDigest) {
      throw sourceChanged(`part ${partNumber} is not what was sent of it before`, { partNumber });
    }
    this.#requireShared(partNumber - 1, this.#known(partNumber - 1), seal);
    this.#requireShared(partNumber, seal, this.#known(partNumber + 1));
    const { tagDigest, firstTag, lastTag } = seal;
    this.#seals.set(partNumber, Buffer.from(tagDigest + firstTag + lastTag, "hex").toString("latin1"));
    if (!known) this.#onGrowth(1);
  }

  /** Forgets a part that was only expected. */
  forget(partNumber: number): void {
    if (!this.#required.has(partNumber) && this.#seals.delete(partNumber)) this.#onGrowth(-1);
  }

  #known(partNumber: number): PartSeal | undefined {
    const packed = this.#seals.get(partNumber);
    if (packed === undefined) return undefined;
    const hex = Buffer.from(packed, "latin1").toString("hex");
    return { tagDigest: hex.slice(0, 64), firstTag: hex.slice(64, 96), lastTag: hex.slice(96) };
  }

  #requireShared(partNumber: number, left: PartSeal | undefined, right: PartSeal | undefined): void {
    if (!left || !right || left.lastTag === right.firstTag) return;
    const [before, after] = [partRange(this.#layout, partNumber), partRange(this.#layout, partNumber + 1)];
    if (before.ciphertextEnd <= after.ciphertextStart) return;
    throw sourceChanged(`parts ${partNumber} and ${partNumber + 1} are of different sources`, { partNumber });
  }
}

/**
 * A client remembers what so many parts were made of, about 150 bytes each. Beyond that it forgets whole uploads, the one used
 * longest ago first.
 */
const maxGuardedParts = 65_536;

interface Guards {
  readonly byTicket: Map<string, PartGuard>;
  /** The parts that they know, and one more for each. */
  parts: number;
}
const guards = new WeakMap<ClientConfig, Guards>();

/**
 * What this client knows of the parts of an upload, for as long as it lives: also once the upload has ended, as
 * whoever holds the ticket can still ask for another plaintext to be sealed under its key.
 *
 * @param ticket whose MAC has been verified, or that was issued here
 */
export function guardOf(config: ClientConfig, ticket: UploadTicket): PartGuard {
  const known: Guards = guards.get(config) ?? { byTicket: new Map(), parts: 0 };
  guards.set(config, known);
  const { byTicket } = known;
  const { mac } = ticket;
  const guard = byTicket.get(mac) ?? newGuard(known, ticket);
  // The one used last goes to the end.
  byTicket.delete(mac);
  byTicket.set(mac, guard);
  for (const [oldest, { size }] of byTicket) {
    if (known.parts - guard.size <= maxGuardedParts) break;
    byTicket.delete(oldest);
    known.parts -= size + 1;
  }
  return guard;
}

function newGuard(known: Guards, ticket: UploadTicket): PartGuard {
  const { mac } = ticket;
  const guard: PartGuard = new PartGuard(ticket, (parts) => {
    // A call that is under way may hold one that has been forgotten.
    if (known.byTicket.get(mac) === guard) known.parts += parts;
  });
  known.parts += 1;
  return guard;
}

/**
 * Compares the time of a file that a part is made of with that of the other parts, if both are known.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
export function requireTime(
  modifiedMs: number | undefined,
  expected: number | undefined,
  partNumber: number,
): void {
  if (modifiedMs === undefined || expected === undefined || modifiedMs === expected) return;
  throw sourceChanged(`part ${partNumber} is made of a file with another time of modification`, {
    partNumber,
  });
}
