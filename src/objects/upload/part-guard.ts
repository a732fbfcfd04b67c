/** Remembers the fingerprint of each part, so that no part is ever sent with two plaintexts under one key. */
import { createHash } from "node:crypto";
import { encodeBase64 } from "../../base/bytes.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { conditionOf } from "../../s3/responses.js";
import type { ListedPart } from "../../s3/stored-parts.js";
import { sourceChanged } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { type PartFingerprint, type PartLayout, partRange, type UploadedPart } from "./parts.js";
import type { UploadTicket } from "./ticket.js";

/** Remembers the first fingerprint of each part of one upload, and refuses any other. */
export class PartGuard {
  readonly #layout: PartLayout;
  /** By part number, 64 bytes in 64 characters: a client remembers many. */
  readonly #fingerprints = new Map<number, string>();
  /** The parts that {@link forget} does not remove. */
  readonly #required = new Set<number>();
  readonly #onGrowth: (parts: number) => void;

  /** @param onGrowth called with the change in the number of known parts */
  constructor(layout: PartLayout, onGrowth: (parts: number) => void = () => undefined) {
    this.#layout = layout;
    this.#onGrowth = onGrowth;
  }

  /** Number of parts that are known. */
  get size(): number {
    return this.#fingerprints.size;
  }

  /** Whether {@link require} has remembered the part: it was sent, or is about to be sent. */
  has(partNumber: number): boolean {
    return this.#required.has(partNumber);
  }

  /**
   * Compares a part with its earlier fingerprint, and with its neighbours where they share a chunk, and remembers it
   * permanently. Callers await nothing between this and the moment from which the part may be sent.
   *
   * @throws EnvelopeError `SOURCE_CHANGED`
   */
  require(partNumber: number, part: PartFingerprint): void {
    this.expect(partNumber, part);
    this.#required.add(partNumber);
  }

  /**
   * Compares as {@link require} does, and remembers the part until {@link forget}: no other plaintext can take its
   * place while the caller finds out whether the part may be sent.
   *
   * @throws EnvelopeError `SOURCE_CHANGED`
   */
  expect(partNumber: number, part: PartFingerprint): void {
    const known = this.#known(partNumber);
    if (known && known.tagDigest !== part.tagDigest) {
      throw sourceChanged(`part ${partNumber} differs from what was sent before`, { partNumber });
    }
    this.#requireSharedChunk(partNumber - 1, this.#known(partNumber - 1), part);
    this.#requireSharedChunk(partNumber, part, this.#known(partNumber + 1));
    const { tagDigest, firstTag, lastTag } = part;
    // A copy: `part` may refer to the memory of the part.
    this.#fingerprints.set(partNumber, Buffer.from(tagDigest + firstTag + lastTag, "hex").toString("latin1"));
    if (!known) this.#onGrowth(1);
  }

  /** Forgets a part that only {@link expect} has remembered. */
  forget(partNumber: number): void {
    if (!this.#required.has(partNumber) && this.#fingerprints.delete(partNumber)) this.#onGrowth(-1);
  }

  #known(partNumber: number): PartFingerprint | undefined {
    const packed = this.#fingerprints.get(partNumber);
    if (packed === undefined) return undefined;
    const hex = Buffer.from(packed, "latin1").toString("hex");
    return { tagDigest: hex.slice(0, 64), firstTag: hex.slice(64, 96), lastTag: hex.slice(96) };
  }

  #requireSharedChunk(
    partNumber: number,
    left: PartFingerprint | undefined,
    right: PartFingerprint | undefined,
  ): void {
    if (!left || !right || left.lastTag === right.firstTag) return;
    const [before, after] = [partRange(this.#layout, partNumber), partRange(this.#layout, partNumber + 1)];
    if (before.firstChunk + before.chunks <= after.firstChunk) return;
    throw sourceChanged(`parts ${partNumber} and ${partNumber + 1} belong to different sources`, {
      partNumber,
    });
  }
}

/**
 * Number of parts that a client remembers, at about 150 bytes each. Beyond it the client forgets whole uploads, least
 * recently used first.
 */
const maxGuardedParts = 65_536;

interface Guards {
  readonly byTicket: Map<string, PartGuard>;
  /** Number of parts that all guards know, plus one for each guard. */
  parts: number;
}
const guards = new WeakMap<ClientConfig, Guards>();

/**
 * The guard of an upload. It lives as long as the client, even after the upload has ended, because anyone who holds
 * the ticket can still ask for another plaintext to be encrypted under its key.
 *
 * @param ticket issued by this client, or with a verified MAC
 */
export function guardOf(config: ClientConfig, ticket: UploadTicket): PartGuard {
  const known: Guards = guards.get(config) ?? { byTicket: new Map(), parts: 0 };
  guards.set(config, known);
  const { byTicket } = known;
  const { mac } = ticket;
  const guard = byTicket.get(mac) ?? newGuard(known, ticket);
  // Moves it to the end, where the most recently used one is.
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
    // A running call may still use a guard that the client has forgotten.
    if (known.byTicket.get(mac) === guard) known.parts += parts;
  });
  known.parts += 1;
  return guard;
}

/**
 * Compares the modification time of the file that a part is read from with the time of the other parts, if both are
 * known.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
export function requireSameTime(
  modifiedMs: number | undefined,
  expected: number | undefined,
  partNumber: number,
): void {
  if (modifiedMs === undefined || expected === undefined || modifiedMs === expected) return;
  throw sourceChanged(`part ${partNumber} is read from a file with another modification time`, {
    partNumber,
  });
}

/**
 * Compares all parts of an upload with each other, where neighbours share a chunk and by the modification times of their
 * files.
 *
 * @throws EnvelopeError `SOURCE_CHANGED` when two parts are of different states of the source
 */
export async function requireOneSource(ticket: UploadTicket, parts: readonly UploadedPart[]): Promise<void> {
  const guard = new PartGuard(ticket);
  const modifiedMs =
    ticket.sourceModifiedMs ?? parts.find((part) => part.sourceModifiedMs !== undefined)?.sourceModifiedMs;
  for (const part of parts) {
    if (shouldYield()) await yieldToEventLoop();
    guard.require(part.PartNumber, part);
    requireSameTime(part.sourceModifiedMs, modifiedMs, part.PartNumber);
  }
}

/**
 * Compares a part that is about to be sent as the first of its number with the one that S3 lists.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
export function requireSamePart(partNumber: number, listed: ListedPart, bytes: Buffer): void {
  if (isSamePart(listed, bytes)) return;
  throw sourceChanged(
    `S3 already has a part ${partNumber} that is not known here, and nothing shows that it has the same bytes. ` +
      "With the tagDigest of the attempt that sent it, uploadPart can compare them",
    { partNumber },
  );
}

/**
 * Whether a part that S3 lists certainly has these bytes: by SHA-256 or SHA-1 if S3 states one, otherwise by the ETag,
 * which is an MD5 unless S3 encrypts under a KMS key or a customer-provided key. A CRC proves nothing: the tag of a chunk
 * that lies in two parts is in the second one, so whoever chooses the plaintext can choose other bytes of the first part
 * with the same CRC.
 */
function isSamePart(listed: ListedPart, bytes: Buffer): boolean {
  if (listed.Size !== bytes.length) return false;
  const { ChecksumSHA256, ChecksumSHA1, ETag = "" } = listed;
  const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest();
  if (ChecksumSHA256 !== undefined) return encodeBase64(digest("sha256")) === ChecksumSHA256;
  if (ChecksumSHA1 !== undefined) return encodeBase64(digest("sha1")) === ChecksumSHA1;
  try {
    return digest("md5").toString("hex") === conditionOf(ETag).replace(/"/g, "").toLowerCase();
  } catch {
    // Node in FIPS mode has no MD5, so nothing shows it.
    return false;
  }
}
