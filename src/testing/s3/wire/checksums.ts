/** The checksums that S3 verifies and stores: CRC32, CRC32C, CRC64NVME, SHA-1 and SHA-256. */
import { createHash } from "node:crypto";
import { Crc, type CrcKind, combineCrcs, crc32, crc32c, crc64nvme } from "./crc.js";

/** The names of the algorithms, as in `x-amz-checksum-crc32`. */
export const checksumAlgorithms = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] as const;
/** One of {@link checksumAlgorithms}. */
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

/** Whether a checksum is that of the bytes, or of the checksums of the parts. */
export type ChecksumType = "FULL_OBJECT" | "COMPOSITE";

/** The algorithm that S3 uses if a writer names none. */
export const defaultAlgorithm = "crc64nvme";

/** A checksum that is being computed. */
export interface RunningChecksum {
  readonly algorithm: ChecksumAlgorithm;
  update(bytes: Uint8Array): void;
  /** The value, as bytes; once. */
  digest(): Buffer;
}

/** A checksum as S3 stores it: base64, with the suffix "-N" for a composite of N parts. */
export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
  readonly type: ChecksumType;
}

/** The data of a part that the object's checksum is computed from. */
export interface PartChecksum {
  readonly size: number;
  /** Base64. */
  readonly value: string;
}

const crcs: Partial<Record<ChecksumAlgorithm, CrcKind>> = { crc32, crc32c, crc64nvme };

/** The algorithm by its name in any case; undefined if it is unknown. */
export function checksumAlgorithm(name: string): ChecksumAlgorithm | undefined {
  return checksumAlgorithms.find((algorithm) => algorithm === name.toLowerCase());
}

/** Creates a checksum computation. */
export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  const kind = crcs[algorithm];
  const running = kind ? new Crc(kind) : createHash(algorithm);
  return { algorithm, update: (bytes) => void running.update(bytes), digest: () => running.digest() };
}

/** The types of an algorithm, the default first. */
export function checksumTypes(algorithm: ChecksumAlgorithm): readonly ChecksumType[] {
  if (algorithm === "crc64nvme") return ["FULL_OBJECT"];
  return crcs[algorithm] ? ["COMPOSITE", "FULL_OBJECT"] : ["COMPOSITE"];
}

/** The checksum of an object made of parts. */
export function combineChecksums(
  algorithm: ChecksumAlgorithm,
  type: ChecksumType,
  parts: readonly PartChecksum[],
): StoredChecksum {
  const values = parts.map(({ size, value }) => ({ size, bytes: Buffer.from(value, "base64") }));
  const kind = crcs[algorithm];
  if (type === "FULL_OBJECT" && kind) {
    const none: Buffer = Buffer.alloc(kind.bits / 8);
    const whole = values.reduce((left, { bytes, size }) => combineCrcs(kind, left, bytes, size), none);
    return { algorithm, type, value: whole.toString("base64") };
  }
  const running = startChecksum(algorithm);
  for (const { bytes } of values) running.update(bytes);
  return { algorithm, type, value: `${running.digest().toString("base64")}-${parts.length}` };
}

/** The response headers for a checksum. */
export function checksumHeaders(checksum: StoredChecksum): Record<string, string> {
  return {
    [`x-amz-checksum-${checksum.algorithm}`]: checksum.value,
    "x-amz-checksum-type": checksum.type,
  };
}

/** The name of a checksum in XML, such as "ChecksumCRC32". */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm.toUpperCase()}`;
}
