/** An S3Client over one huge object, whose ciphertext is generated when it is requested. */
import { Readable } from "node:stream";
import type { GetObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { sealChunk } from "../../src/cobblestone/chunk.js";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import {
  chunkBytes,
  chunkOffset,
  ciphertextLength,
  headerBytes,
  sealedChunkBytes,
} from "../../src/cobblestone/layout.js";
import { bodyContext, wrappingContext } from "../../src/envelope/envelope.js";
import { encodeEnvelope } from "../../src/envelope/metadata.js";
import { generateDataKey, type Keyring } from "../../src/keys/keyring.js";
import { testBytes } from "./bytes.js";

/** The result of {@link hugeObject}. */
export interface HugeObject {
  readonly s3: S3Client;
  /** The Range of each request, and the number of bytes in its response. */
  readonly requests: { readonly range: string; readonly bytes: number }[];
  /** The plaintext from `start` to `end`. */
  plaintext(start: number, end: number): Buffer;
}

/** An object of the given plaintext length, under a key that the keyring has wrapped. */
export async function hugeObject(length: number, keyring: Keyring): Promise<HugeObject> {
  const encryptionContext = wrappingContext({});
  const { dataKey, recipients } = await generateDataKey(keyring, {
    encryptionContext,
    abortSignal: undefined,
  });
  const keys = deriveMessageKeys(dataKey, testBytes(24), bodyContext({}));
  const Metadata = encodeEnvelope({ header: keys.header, encryptionContext: {}, recipients });
  const total = ciphertextLength(length);
  const requests: HugeObject["requests"] = [];
  const chunk = (index: number) =>
    testBytes(Math.max(0, Math.min(chunkBytes, length - index * chunkBytes)), index % 2 ** 32);
  const join = (from: number, to: number, unit: number, piece: (index: number) => Buffer) => {
    const first = Math.floor(from / unit);
    const pieces = Array.from({ length: Math.floor((to - 1) / unit) + 1 - first }, (_, at) =>
      piece(first + at),
    );
    return Buffer.concat(pieces).subarray(from - first * unit, to - first * unit);
  };
  const ciphertext = (start: number, end: number) => {
    const sealed = (index: number) => {
      const { ciphertext, tag } = sealChunk(keys, index, chunk(index));
      return Buffer.concat([ciphertext, tag]);
    };
    if (start < headerBytes) {
      return Buffer.concat([
        keys.header.subarray(start),
        join(0, end - headerBytes, sealedChunkBytes, sealed),
      ]);
    }
    return join(start - chunkOffset(0), end - chunkOffset(0), sealedChunkBytes, sealed);
  };
  const send = async ({ input }: { input: GetObjectCommandInput }) => {
    const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(input.Range ?? "") ?? [];
    const start = first === "" ? Math.max(0, total - Number(last)) : Number(first);
    const end = first === "" || last === "" ? total : Math.min(total, Number(last) + 1);
    const bytes = ciphertext(start, end);
    requests.push({ range: input.Range ?? "", bytes: bytes.length });
    return {
      $metadata: { httpStatusCode: 206 },
      Body: Readable.from([bytes]),
      ContentLength: bytes.length,
      ContentRange: `bytes ${start}-${end - 1}/${total}`,
      ETag: '"huge"',
      Metadata,
    };
  };
  return {
    s3: { config: {}, send } as unknown as S3Client,
    requests,
    plaintext: (start, end) => join(start, end, chunkBytes, chunk),
  };
}
