/** Reads the body of an upload and verifies its length and checksums. */
import { createHash } from "node:crypto";
import type { ServiceRequest } from "../../service.js";
import type { ByteStore, Extent } from "../storage/byte-store.js";
import {
  type ChecksumAlgorithm,
  checksumAlgorithm,
  defaultAlgorithm,
  startChecksum,
} from "../wire/checksums.js";
import { decodeChunks } from "../wire/chunks.js";
import { s3Fault } from "../wire/s3-fault.js";

/** A body that has arrived whole and verified. */
export interface Payload {
  readonly extent: Extent;
  /** In hex. */
  readonly md5: string;
  /** Base64, of the algorithm that was wanted. */
  readonly checksum: string;
  /** The checksum that the request stated, if any. */
  readonly stated: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
}

const framed = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const unsigned = "UNSIGNED-PAYLOAD";
const signedHash = /^[0-9a-f]{64}$/;
const maxBytes = 5 * 1024 ** 3;
const checksumHeader = /^x-amz-checksum-(?!type$|mode$|algorithm$)(.+)$/;

/** The payload hash in the signature. */
export function payloadHash({ headers }: ServiceRequest): string {
  const hash = headers["x-amz-content-sha256"];
  if (hash === undefined) throw s3Fault("InvalidRequest", "x-amz-content-sha256 is missing");
  if (hash === framed || hash === unsigned || signedHash.test(hash)) return hash;
  throw s3Fault("NotImplemented", `x-amz-content-sha256: ${hash}`);
}

/**
 * Reads and verifies the body of a PutObject or UploadPart into the store.
 *
 * @param wanted the algorithm of the checksum to keep; the one that the request names, or S3's own, by default
 */
export async function readPayload(
  request: ServiceRequest,
  store: ByteStore,
  wanted?: ChecksumAlgorithm,
): Promise<Payload> {
  const declared = declaredChecksum(request.headers);
  if (!declared && request.headers["x-amz-sdk-checksum-algorithm"] !== undefined) {
    throw s3Fault(
      "InvalidRequest",
      "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    );
  }
  const trailers = new Map<string, string>();
  const chunked = request.headers["x-amz-content-sha256"] === framed;
  const source = chunked ? decodeChunks(request.body, trailers) : request.body;
  const algorithm = wanted ?? declared?.algorithm ?? defaultAlgorithm;
  const stated = statedSize(request.headers, chunked);
  const { extent, md5, checksums } = await storeBytes(source, store, {
    algorithms: [algorithm, declared?.algorithm ?? algorithm],
    sha256: isSigned(request.headers),
    maxSize: stated,
    require: (digests) => {
      const { size } = digests;
      if (size !== stated) throw s3Fault("IncompleteBody", `${stated} bytes stated, ${size} came`);
      requireDigests(request.headers, digests, trailers);
    },
  });
  const checksumOf = (name: ChecksumAlgorithm) => checksums.get(name) ?? "";
  return {
    extent,
    md5,
    checksum: checksumOf(algorithm),
    stated: declared && { algorithm: declared.algorithm, value: checksumOf(declared.algorithm) },
  };
}

/** The digests of all bytes. */
export interface Digests {
  readonly size: number;
  /** In hex. */
  readonly md5: string;
  /** In hex, if it was wanted. */
  readonly sha256: string | undefined;
  /** Base64. */
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, string>;
}

/** How to process bytes that are stored. */
export interface StoreBytesOptions {
  readonly algorithms: readonly ChecksumAlgorithm[];
  readonly sha256?: boolean;
  /** The maximum number of bytes. */
  readonly maxSize?: number | undefined;
  /** Throws to refuse the bytes, after all have arrived. */
  readonly require?: (digests: Digests) => void;
}

/** Starts to compute digests of bytes. */
export function startDigests(algorithms: readonly ChecksumAlgorithm[], withSha256: boolean) {
  const md5 = createHash("md5");
  const sha256 = withSha256 ? createHash("sha256") : undefined;
  const running = [...new Set(algorithms)].map(startChecksum);
  let size = 0;
  return {
    update(piece: Uint8Array): void {
      size += piece.length;
      md5.update(piece);
      sha256?.update(piece);
      for (const checksum of running) checksum.update(piece);
    },
    /** Once. */
    finish(): Digests {
      const checksums = new Map(running.map((one) => [one.algorithm, one.digest().toString("base64")]));
      return { size, md5: md5.digest("hex"), sha256: sha256?.digest("hex"), checksums };
    },
  };
}

/** Stores bytes and computes their digests; stores nothing if they are refused. */
export async function storeBytes(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  store: ByteStore,
  options: StoreBytesOptions,
): Promise<{ extent: Extent; md5: string; checksums: ReadonlyMap<ChecksumAlgorithm, string> }> {
  const { algorithms, sha256 = false, maxSize = maxBytes, require } = options;
  const running = startDigests(algorithms, sha256);
  const sink = await store.begin();
  try {
    let size = 0;
    for await (const piece of source) {
      size += piece.length;
      if (size > maxSize) throw s3Fault("IncompleteBody", `more than ${maxSize} bytes came`);
      running.update(piece);
      await sink.write(piece);
    }
    const digests = running.finish();
    require?.(digests);
    return { extent: await sink.finish(), md5: digests.md5, checksums: digests.checksums };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

/** The size that a request must state for its body. */
function statedSize(headers: ServiceRequest["headers"], chunked: boolean): number {
  const stated = headers[chunked ? "x-amz-decoded-content-length" : "content-length"];
  if (stated === undefined) {
    if (!chunked && headers["transfer-encoding"] !== undefined)
      throw s3Fault("NotImplemented", "Transfer-Encoding");
    throw s3Fault("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  if (Number(stated) > maxBytes) {
    throw s3Fault("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size");
  }
  return Number(stated);
}

/** Whether the signature covers the body. */
export function isSigned(headers: ServiceRequest["headers"]): boolean {
  return signedHash.test(headers["x-amz-content-sha256"] ?? "");
}

/** Throws unless the bytes match the headers and trailers. */
export function requireDigests(
  headers: ServiceRequest["headers"],
  { md5, sha256, checksums }: Digests,
  trailers?: ReadonlyMap<string, string>,
): void {
  if (sha256 !== undefined && sha256 !== headers["x-amz-content-sha256"])
    throw s3Fault("XAmzContentSHA256Mismatch");
  const statedMd5 = headers["content-md5"];
  if (statedMd5 !== undefined && Buffer.from(statedMd5, "base64").toString("hex") !== md5)
    throw s3Fault("BadDigest", "The Content-MD5 you specified did not match what we received.");
  const declared = declaredChecksum(headers);
  if (!declared) return;
  const stated = headers[declared.header] ?? trailers?.get(declared.header);
  if (stated === checksums.get(declared.algorithm)) return;
  throw s3Fault("BadDigest", `The ${declared.header} you specified did not match the calculated checksum.`);
}

/** The checksum that a request states in a header or a trailer. */
export function declaredChecksum(
  headers: ServiceRequest["headers"],
): { header: string; algorithm: ChecksumAlgorithm } | undefined {
  const statedMd5 = headers["content-md5"];
  if (statedMd5 !== undefined && Buffer.from(statedMd5, "base64").length !== 16)
    throw s3Fault("InvalidDigest", "The Content-MD5 you specified was invalid.");
  const trailer = headers["x-amz-trailer"];
  const named = Object.keys(headers).filter((name) => checksumHeader.test(name));
  if (trailer !== undefined) named.push(trailer);
  if (named.length > 1) {
    const message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
    throw s3Fault("InvalidRequest", message);
  }
  const [header] = named;
  if (header === undefined) return undefined;
  const algorithm = checksumAlgorithm(checksumHeader.exec(header)?.[1] ?? "");
  if (!algorithm) throw s3Fault("NotImplemented", header);
  return { header, algorithm };
}
