/** Cyclic redundancy checks of 32 and 64 bits, reflected, eight bytes at a time, and their combination. */
import * as zlib from "node:zlib";

/** One CRC: its width, and its polynomial with the bits reversed. */
export interface CrcKind {
  readonly bits: 32 | 64;
  readonly polynomial: bigint;
}

/** The three CRCs of S3. */
export const crc32: CrcKind = { bits: 32, polynomial: 0xedb88320n };
export const crc32c: CrcKind = { bits: 32, polynomial: 0x82f63b78n };
export const crc64nvme: CrcKind = { bits: 64, polynomial: 0x9a6c9329ac4bc9b5n };

/** A CRC over bytes that come in pieces. */
export class Crc {
  readonly #kind: CrcKind;
  readonly #tables: Tables;
  #low = 0xffffffff;
  #high: number;

  constructor(kind: CrcKind) {
    this.#kind = kind;
    this.#tables = tablesOf(kind);
    this.#high = kind.bits === 64 ? 0xffffffff : 0;
  }

  update(bytes: Uint8Array): void {
    // Node.js 20.15 and later include this one, which is several times as fast.
    if (this.#kind === crc32 && zlib.crc32) this.#low = ~zlib.crc32(bytes, ~this.#low >>> 0);
    else this.#updateByTables(bytes);
  }

  digest(): Buffer {
    const digest = Buffer.alloc(this.#kind.bits / 8);
    if (this.#kind.bits === 64) digest.writeUInt32BE(~this.#high >>> 0);
    digest.writeUInt32BE(~this.#low >>> 0, digest.length - 4);
    return digest;
  }

  #updateByTables(bytes: Uint8Array): void {
    const { low: lows, high: highs } = this.#tables;
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = (table: Int32Array, index: number) => table[index] ?? 0;
    let low = this.#low;
    let high = this.#high;
    let offset = 0;
    for (; offset + 8 <= bytes.length; offset += 8) {
      const first = low ^ words.getInt32(offset, true);
      const second = high ^ words.getInt32(offset + 4, true);
      const i7 = 1792 + (first & 255);
      const i6 = 1536 + ((first >>> 8) & 255);
      const i5 = 1280 + ((first >>> 16) & 255);
      const i4 = 1024 + (first >>> 24);
      const i3 = 768 + (second & 255);
      const i2 = 512 + ((second >>> 8) & 255);
      const i1 = 256 + ((second >>> 16) & 255);
      const i0 = second >>> 24;
      low = at(lows, i7) ^ at(lows, i6) ^ at(lows, i5) ^ at(lows, i4);
      low ^= at(lows, i3) ^ at(lows, i2) ^ at(lows, i1) ^ at(lows, i0);
      high = at(highs, i7) ^ at(highs, i6) ^ at(highs, i5) ^ at(highs, i4);
      high ^= at(highs, i3) ^ at(highs, i2) ^ at(highs, i1) ^ at(highs, i0);
    }
    for (; offset < bytes.length; offset++) {
      const index = (low ^ (bytes[offset] ?? 0)) & 255;
      low = at(lows, index) ^ ((low >>> 8) | (high << 24));
      high = at(highs, index) ^ (high >>> 8);
    }
    this.#low = low;
    this.#high = high;
  }
}

/**
 * The CRC of two concatenated byte strings, from the CRC of each and the length of the second: the first is
 * multiplied by x^(8 * length) modulo the polynomial.
 */
export function combineCrcs(kind: CrcKind, left: Buffer, right: Buffer, rightBytes: number): Buffer {
  const shifted = multiply(kind, toNumber(left), shiftBy(kind, rightBytes));
  const combined = (shifted ^ toNumber(right)).toString(16).padStart(kind.bits / 4, "0");
  return Buffer.from(combined, "hex");
}

interface Tables {
  /** Eight tables of 256, the low and the high half of each entry. */
  readonly low: Int32Array;
  readonly high: Int32Array;
}

const tables = new Map<CrcKind, Tables>();

function tablesOf(kind: CrcKind): Tables {
  const made = tables.get(kind);
  if (made) return made;
  const entries: bigint[] = [];
  for (let index = 0n; index < 256n; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = timesX(kind, value);
    entries.push(value);
  }
  for (let index = 256; index < 2048; index++) {
    const previous = entries[index - 256] ?? 0n;
    entries.push((previous >> 8n) ^ (entries[Number(previous & 255n)] ?? 0n));
  }
  const low = Int32Array.from(entries, (entry) => Number(BigInt.asIntN(32, entry)));
  const high = Int32Array.from(entries, (entry) => Number(BigInt.asIntN(32, entry >> 32n)));
  tables.set(kind, { low, high });
  return { low, high };
}

function timesX({ polynomial }: CrcKind, value: bigint): bigint {
  return value & 1n ? (value >> 1n) ^ polynomial : value >> 1n;
}

/** The product of two polynomials whose highest bit stands for x^0. */
function multiply(kind: CrcKind, left: bigint, right: bigint): bigint {
  let product = 0n;
  let shifted = right;
  for (let bit = BigInt(kind.bits) - 1n; bit >= 0n; bit--) {
    if ((left >> bit) & 1n) product ^= shifted;
    shifted = timesX(kind, shifted);
  }
  return product;
}

let lastShift: { kind: CrcKind; bytes: number; factor: bigint } | undefined;

/** x^(8 * bytes); the last result is cached, since parts mostly have one size. */
function shiftBy(kind: CrcKind, bytes: number): bigint {
  if (lastShift?.kind === kind && lastShift.bytes === bytes) return lastShift.factor;
  let factor = 1n << BigInt(kind.bits - 1);
  let power = 1n << BigInt(kind.bits - 9);
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) factor = multiply(kind, factor, power);
    power = multiply(kind, power, power);
  }
  lastShift = { kind, bytes, factor };
  return factor;
}

function toNumber(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}
