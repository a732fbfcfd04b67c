/** Reads the body of an upload: takes off the chunk framing, and verifies all that the request says of it. */
import { createHash } from "node:crypto";
import type { ServiceRequest } from "../service.js";
import { type RunningChecksum, type StoredChecksum, startChecksum } from "./checksums.js";
import { s3Fault } from "./s3-fault.js";

/** A body that has arrived whole and verified. */
export interface Payload {
  /** The bytes; none when they were to be discarded. */
  readonly pieces: readonly Buffer[];
  readonly size: number;
  readonly md5: Buffer;
  readonly checksum: StoredChecksum | undefined;
}

const framed = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const maxBytes = 5 * 1024 ** 3;
const checksumHeader = /^x-amz-checksum-(crc32|crc32c|crc64nvme|sha1|sha256)$/;

/** What `x-amz-content-sha256` says; it stands for the body in the signature. */
export function payloadHash({ headers }: ServiceRequest): string {
  const hash = headers["x-amz-content-sha256"];
  if (hash === undefined) throw s3Fault("InvalidRequest", "x-amz-content-sha256 is missing");
  if (hash === framed || hash === "UNSIGNED-PAYLOAD" || /^[0-9a-f]{64}$/.test(hash)) return hash;
  throw s3Fault("NotImplemented", `x-amz-content-sha256: ${hash}`);
}

/** Reads and verifies the body of a PutObject or UploadPart. */
export async function readPayload(request: ServiceRequest, discard: boolean): Promise<Payload> {
  const { headers } = request;
  const hash = payloadHash(request);
  const trailers = new Map<string, string>();
  const source = hash === framed ? decodeChunks(request.body, trailers) : request.body;
  const stated = Number(
    headers[hash === framed ? "x-amz-decoded-content-length" : "content-length"] ?? Number.NaN,
  );
  if (stated > maxBytes)
    throw s3Fault("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size");
  const statedMd5 = headers["content-md5"];
  if (statedMd5 !== undefined && Buffer.from(statedMd5, "base64").length !== 16)
    throw s3Fault("InvalidDigest", "The Content-MD5 you specified was invalid.");
  const md5 = createHash("md5");
  const sha256 = /^[0-9a-f]{64}$/.test(hash) ? createHash("sha256") : undefined;
  const checksum = declaredChecksum(headers);
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of source as AsyncIterable<Buffer>) {
    size += piece.length;
    md5.update(piece);
    sha256?.update(piece);
    checksum?.running.update(piece);
    if (!discard) pieces.push(piece);
  }
  if (Number.isFinite(stated) && stated !== size)
    throw s3Fault("IncompleteBody", `${stated} bytes stated, ${size} came`);
  if (sha256 && sha256.digest("hex") !== hash) throw s3Fault("XAmzContentSHA256Mismatch");
  const md5Digest = md5.digest();
  if (statedMd5 !== undefined && statedMd5 !== md5Digest.toString("base64"))
    throw s3Fault("BadDigest", "Content-MD5");
  return { pieces, size, md5: md5Digest, checksum: verified(checksum, headers, trailers) };
}

interface DeclaredChecksum {
  readonly header: string;
  readonly running: RunningChecksum;
}

function declaredChecksum(headers: ServiceRequest["headers"]): DeclaredChecksum | undefined {
  const header = headers["x-amz-trailer"] ?? Object.keys(headers).find((name) => checksumHeader.test(name));
  if (header === undefined) return undefined;
  const running = startChecksum(checksumHeader.exec(header)?.[1] ?? "");
  if (!running) throw s3Fault("NotImplemented", header);
  return { header, running };
}

function verified(
  declared: DeclaredChecksum | undefined,
  headers: ServiceRequest["headers"],
  trailers: ReadonlyMap<string, string>,
): StoredChecksum | undefined {
  if (!declared) return undefined;
  const stated = headers[declared.header] ?? trailers.get(declared.header);
  const value = declared.running.digest().toString("base64");
  if (stated === value) return { algorithm: declared.running.algorithm, value };
  throw s3Fault("BadDigest", `The ${declared.header} you specified did not match the calculated checksum.`);
}

/** Takes off the aws-chunked framing: size in hex, data, ..., zero, trailers. */
async function* decodeChunks(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer, undefined> {
  let buffer: Buffer = Buffer.alloc(0);
  let left = 0;
  let state: "size" | "data" | "dataEnd" | "trailers" | "end" = "size";
  for await (const piece of source) {
    buffer = buffer.length > 0 ? Buffer.concat([buffer, piece]) : piece;
    while (buffer.length > 0) {
      if (state === "end") throw malformed();
      if (state === "data") {
        const data = buffer.subarray(0, left);
        buffer = buffer.subarray(data.length);
        left -= data.length;
        if (left === 0) state = "dataEnd";
        yield data;
        continue;
      }
      const end = buffer.indexOf("\r\n");
      if (end < 0) {
        if (buffer.length > 4096) throw malformed();
        break;
      }
      const line = buffer.toString("latin1", 0, end);
      buffer = buffer.subarray(end + 2);
      if (state === "size") {
        if (!/^[0-9a-fA-F]{1,8}(;.*)?$/.test(line)) throw malformed();
        left = Number.parseInt(line, 16);
        state = left === 0 ? "trailers" : "data";
      } else if (state === "dataEnd") {
        if (line !== "") throw malformed();
        state = "size";
      } else if (line === "") {
        state = "end";
      } else {
        const [name = "", value = ""] = line.split(/:(.*)/s);
        trailers.set(name.trim().toLowerCase(), value.trim());
      }
    }
  }
  if (state !== "end" && !(state === "trailers" && buffer.length === 0)) throw malformed();
  return undefined;
}

function malformed(): Error {
  return s3Fault("IncompleteBody", "the aws-chunked framing is malformed");
}
