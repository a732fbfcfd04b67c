/** An S3 without a network and a generated source, for tests of many puts. */
import { Readable } from "node:stream";
import { createS3Client } from "../../src/index.js";

const block = Buffer.alloc(1024 * 1024, 7);

/** Yields the given number of bytes, in views of one block. */
export async function* generated(bytes: number, look: () => void = () => undefined): AsyncGenerator<Buffer> {
  for (let left = bytes; left > 0; left -= block.length) {
    look();
    yield block.subarray(0, Math.min(left, block.length));
  }
}

/** An S3 without a network that responds after a turn of the event loop, and counts the bytes in flight. */
export function stubS3() {
  let bytes = 0;
  const requestHandler = {
    async handle({ method, body, query }: { method: string; body?: Buffer; query: { partNumber?: string } }) {
      const length = method === "PUT" ? (body?.length ?? 0) : 0;
      bytes += length;
      stub.mostBytes = Math.max(stub.mostBytes, bytes);
      stub.onRequest();
      await new Promise(setImmediate);
      bytes -= length;
      stub.stored.push(method === "PUT" ? `UploadPart ${query.partNumber}` : method);
      const answer = "uploads" in query ? "<R><UploadId>u</UploadId></R>" : '<R><ETag>"e"</ETag></R>';
      const text = method === "POST" ? answer : "";
      return {
        response: { statusCode: 200, headers: { etag: '"e"' }, body: Readable.from([Buffer.from(text)]) },
      };
    },
  };
  const stub = {
    stored: [] as string[],
    mostBytes: 0,
    onRequest: () => undefined as unknown,
    client: createS3Client({
      region: "eu-central-1",
      credentials: { accessKeyId: "AKIASTUB", secretAccessKey: "stub" },
      requestHandler: requestHandler as never,
    }),
  };
  return stub;
}
