/** The aws-chunked framing of bodies with unsigned chunks. */
import { s3Fault } from "./s3-fault.js";

const minChunkBytes = 8192;
const maxLineBytes = 4096;
/** The maximum size of all trailers together. */
const maxTrailerBytes = 4096;

/**
 * Removes the aws-chunked framing: size in hex, data, ..., zero, trailers. Only the last data may be short.
 */
export async function* decodeChunks(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer, undefined> {
  let buffer: Buffer = Buffer.alloc(0);
  let left = 0;
  let short = false;
  let trailerBytes = 0;
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
        if (buffer.length > maxLineBytes) throw malformed();
        break;
      }
      const line = buffer.toString("latin1", 0, end);
      buffer = buffer.subarray(end + 2);
      if (state === "size") {
        if (!/^[0-9a-fA-F]{1,8}(;.*)?$/.test(line)) throw malformed();
        left = Number.parseInt(line, 16);
        if (short && left > 0) throw shortChunk();
        short = left < minChunkBytes;
        state = left === 0 ? "trailers" : "data";
      } else if (state === "dataEnd") {
        if (line !== "") throw malformed();
        state = "size";
      } else if (line === "") {
        state = "end";
      } else {
        trailerBytes += line.length;
        if (trailerBytes > maxTrailerBytes) throw malformed();
        const [name = "", value = ""] = line.split(/:(.*)/s);
        trailers.set(name.trim().toLowerCase(), value.trim());
      }
    }
  }
  if (state !== "end" && !(state === "trailers" && buffer.length === 0)) throw malformed();
  return undefined;
}

function shortChunk(): Error {
  return s3Fault(
    "InvalidChunkSizeError",
    `Only the last chunk is allowed to have a size less than ${minChunkBytes} bytes`,
  );
}

function malformed(): Error {
  return s3Fault("IncompleteBody", "the aws-chunked framing is malformed");
}
