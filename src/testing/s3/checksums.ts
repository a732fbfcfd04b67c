/** The checksums that S3 verifies and stores: CRC32, CRC32C, SHA-1 and SHA-256. */
import { createHash } from "node:crypto";

/** The names of the algorithms, as in `x-amz-checksum-crc32`. */
export type ChecksumAlgorithm = "crc32" | "crc32c" | "sha1" | "sha256";

/** A checksum that is being computed. */
export interface RunningChecksum {
  readonly algorithm: ChecksumAlgorithm;
  update(bytes: Uint8Array): void;
  /** The value so far, as bytes. */
  digest(): Buffer;
}

/** A checksum as S3 stores it: base64, with "-N" behind a composite of N parts. */
export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
}

const start: Readonly<Record<ChecksumAlgorithm, () => RunningChecksum>> = {
  crc32: () => crc("crc32", 0xedb88320),
  crc32c: () => crc("crc32c", 0x82f63b78),
  sha1: () => hash("sha1"),
  sha256: () => hash("sha256"),
};

/** Starts a checksum by its name; undefined for one that is not known here. */
export function startChecksum(name: string): RunningChecksum | undefined {
  return Object.hasOwn(start, name) ? start[name as ChecksumAlgorithm]() : undefined;
}

/** The composite checksum of a multipart object: that of its parts' checksums. */
export function compositeChecksum(
  parts: readonly (StoredChecksum | undefined)[],
): StoredChecksum | undefined {
  const algorithm = parts[0]?.algorithm;
  const checksum = algorithm && start[algorithm]();
  if (!checksum || parts.some((part) => part?.algorithm !== algorithm)) return undefined;
  for (const part of parts) checksum.update(Buffer.from(part?.value ?? "", "base64"));
  return { algorithm, value: `${checksum.digest().toString("base64")}-${parts.length}` };
}

function hash(algorithm: "sha1" | "sha256"): RunningChecksum {
  const running = createHash(algorithm);
  return { algorithm, update: (bytes) => void running.update(bytes), digest: () => running.copy().digest() };
}

/** A reflected CRC of 32 bits. */
function crc(algorithm: "crc32" | "crc32c", polynomial: number): RunningChecksum {
  const table = crcTable(polynomial);
  let value = 0xffffffff;
  return {
    algorithm,
    update(bytes) {
      let state = value;
      for (const byte of bytes) state = (table[(state ^ byte) & 0xff] ?? 0) ^ (state >>> 8);
      value = state >>> 0;
    },
    digest() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE((value ^ 0xffffffff) >>> 0);
      return bytes;
    },
  };
}

const tables = new Map<number, Uint32Array>();

function crcTable(polynomial: number): Uint32Array {
  const made = tables.get(polynomial);
  if (made) return made;
  const table = Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value >>> 0;
  });
  tables.set(polynomial, table);
  return table;
}
