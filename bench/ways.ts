/** Ways to encrypt and decrypt a stream: this frame layer, and what Node itself has. */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, webcrypto } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { decrypt, encrypt } from "s3-envelope";
import { deriveMessageKeys, openHeader } from "../dist/cobblestone/derivation.js";
import { saltBytes } from "../dist/cobblestone/layout.js";
import { openSource, sealSource } from "../dist/cobblestone/stream/message.js";
import { loopPieceBytes, openLoop, sealLoop } from "./bare-loop.js";
import { readable, type Sink, sourcePieceBytes, writable } from "./bytes.js";
import { onThread, withWorkers } from "./engines.js";
import type { Aim } from "./measure.js";

/** Opens what was sealed. */
export type Open = (source: Iterable<Buffer>, sink: Sink) => Promise<void>;

/** One way to encrypt, which tells how to decrypt. */
export interface Way {
  readonly name: string;
  /** What is handed to `Open` at a time; the size of the source's pieces by default. */
  readonly sealedPieceBytes?: number;
  readonly note?: string;
  /** For the largest size only. */
  readonly aims?: readonly Aim[];
  seal(source: Iterable<Buffer>, sink: Sink): Promise<Open>;
}

/** Names of rows that aims refer to. */
export const names = {
  plain: "pipeline, plain cipher",
  loop: "loop, a plain cipher for each 16 KiB",
  twoProcesses: "limit: two processes, bare loops",
  esdkBest: "ESDK-JS, best setting",
  esdkDefault: "ESDK-JS, defaults",
} as const;

const suite = "aes-256-gcm";
const dataKey = randomBytes(32);
const key = createSecretKey(dataKey);

const workerAims: readonly Aim[] = [
  { kind: "ratio", to: names.plain, aim: "1.0x to 1.3x" },
  { kind: "ratio", to: names.twoProcesses, aim: ">= 0.8x" },
  { kind: "ratio", to: names.esdkBest, aim: ">= 1.5x" },
  { kind: "ratio", to: names.esdkDefault, aim: ">= 12x" },
];
const threadAims: readonly Aim[] = [
  { kind: "ratio", to: names.plain, aim: ">= 0.6x" },
  { kind: "ratio", to: names.loop, aim: ">= 0.9x" },
];

/** Node's own cipher as a stream: one message of any length, whose tag comes last. What ratios refer to. */
export const plainPipeline: Way = {
  name: names.plain,
  seal: async (source, sink) => {
    const iv = randomBytes(12);
    const cipher = createCipheriv(suite, key, iv);
    await pipeline(readable(source), cipher, writable(sink));
    const tag = cipher.getAuthTag();
    return (sealed, plaintext) =>
      pipeline(readable(sealed), createDecipheriv(suite, key, iv).setAuthTag(tag), writable(plaintext));
  },
};

/** The least that a format of chunks has to do. */
export const bareLoop: Way = {
  name: names.loop,
  sealedPieceBytes: loopPieceBytes,
  seal: async (source, sink) => {
    sealLoop(key, source, sink);
    return async (sealed, plaintext) => openLoop(key, sealed, plaintext);
  },
};

/** This frame layer as it is by default. */
export const workersPipeline = inPipeline("pipeline, s3-envelope with workers", withWorkers, workerAims);
/** This frame layer on the calling thread. */
export const threadPipeline = inPipeline("pipeline, s3-envelope on one thread", onThread, threadAims);
/** This frame layer as an iterable, by default. */
export const workersIteration = inLoop("for await, s3-envelope with workers", withWorkers, workerAims);
/** The same for a consumer that is done with each piece before it asks for the next, as `put` is; not part of the interface. */
export const reusingIteration: Way = {
  name: "for await, workers, memory used again",
  aims: workerAims,
  seal: async (source, sink) => {
    const keys = deriveMessageKeys(key, randomBytes(saltBytes), new Uint8Array(0));
    for await (const bytes of sealSource(source, keys, { reuseBuffers: true })) sink(bytes);
    return async (sealed, plaintext) => {
      const readHeader = (header: Buffer) => openHeader(key, header, new Uint8Array(0));
      const input = { readHeader, endsMessage: true } as const;
      for await (const bytes of openSource(sealed, input, { reuseBuffers: true })) plaintext(bytes);
    };
  },
};

/** This frame layer as an iterable, on the calling thread. */
export const threadIteration = inLoop("for await, s3-envelope on one thread", onThread, threadAims);

function inPipeline(name: string, engine: object, aims: readonly Aim[]): Way {
  const options = { dataKey: key, ...engine };
  return {
    name,
    aims,
    seal: async (source, sink) => {
      await pipeline(readable(source), (bytes) => encrypt(bytes, options), writable(sink));
      return (sealed, plaintext) =>
        pipeline(readable(sealed), (bytes) => decrypt(bytes, options), writable(plaintext));
    },
  };
}

function inLoop(name: string, engine: object, aims: readonly Aim[]): Way {
  const options = { dataKey: key, ...engine };
  return {
    name,
    aims,
    seal: async (source, sink) => {
      for await (const bytes of encrypt(source, options)) sink(bytes);
      return async (sealed, plaintext) => {
        for await (const bytes of decrypt(sealed, options)) plaintext(bytes);
      };
    },
  };
}

const { subtle } = webcrypto;
const webKey = await subtle.importKey("raw", dataKey, "AES-GCM", false, ["encrypt", "decrypt"]);

/** WebCrypto has no streams: it takes a message whole. */
export const webCryptoWhole: Way = {
  name: "WebCrypto, message whole",
  seal: async (source, sink) => {
    const algorithm = { name: "AES-GCM", iv: randomBytes(12) };
    sink(new Uint8Array(await subtle.encrypt(algorithm, webKey, Buffer.concat([...source]))));
    return async (sealed, plaintext) =>
      plaintext(new Uint8Array(await subtle.decrypt(algorithm, webKey, Buffer.concat([...sealed]))));
  },
};

/** WebCrypto works on the thread pool, so the chunks of a piece are given to it together. */
export const webCryptoChunks: Way = {
  name: "WebCrypto, 16 KiB chunks, 4 at once",
  sealedPieceBytes: loopPieceBytes,
  seal: async (source, sink) => {
    await chunkwise(source, sourcePieceBytes / 4, sink, (iv, bytes) =>
      subtle.encrypt({ name: "AES-GCM", iv }, webKey, bytes),
    );
    return (sealed, plaintext) =>
      chunkwise(sealed, loopPieceBytes / 4, plaintext, (iv, bytes) =>
        subtle.decrypt({ name: "AES-GCM", iv }, webKey, bytes),
      );
  },
};

async function chunkwise(
  source: Iterable<Buffer>,
  chunkBytes: number,
  sink: Sink,
  work: (iv: Buffer, bytes: Buffer) => Promise<ArrayBuffer>,
): Promise<void> {
  let index = 0;
  for (const piece of source) {
    const chunks = [];
    for (let start = 0; start < piece.length; start += chunkBytes) {
      const iv = Buffer.alloc(12);
      iv.writeUInt32BE(index++, 8);
      chunks.push(work(iv, piece.subarray(start, start + chunkBytes)));
    }
    for (const chunk of await Promise.all(chunks)) sink(new Uint8Array(chunk));
  }
}
