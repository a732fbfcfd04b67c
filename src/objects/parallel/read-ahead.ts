/** The plaintext of chunks that follow one another, in order, from windows that are fetched ahead of the reader. */

import { type MessageKeys, requireHeader } from "../../cobblestone/derivation.js";
import {
  type ChunkRange,
  chunkRange,
  headerBytes,
  plaintextLength,
  sealedBytes,
} from "../../cobblestone/layout.js";
import { openSource } from "../../cobblestone/stream/message.js";
import type { OpenedRange } from "../../cobblestone/stream/open-range.js";
import type { Lease } from "../../transfer/memory-budget.js";
import { workingOf } from "../encrypted/config.js";
import { fetchWindow, maxWindowChunks, type OpenableObject, pinnedResponse, windowRange } from "./blocks.js";

/** Which chunks are read. */
export interface ReadAheadInput {
  readonly firstChunk: number;
  /** One past the last. */
  readonly endChunk: number;
  /** Whether the body that is there begins with the header. */
  readonly startsWithHeader: boolean;
  /** Smaller in tests. */
  readonly windowChunks?: number;
}

interface Ahead {
  readonly range: ChunkRange;
  readonly hold: Lease;
  readonly opened: Promise<OpenedRange>;
}

/** Plaintext is handed out in pieces of at most so many bytes. */
const pieceBytes = 512 * 1024;

/**
 * Yields the plaintext. Windows ahead of the reader are held in memory as far as the budget has some to spare;
 * without any it goes on one window after the other, as they come. End it early by the signal of the object.
 *
 * @param body what an answer holds that begins with these chunks; no more than a window of it is read
 */
export async function* readAhead(
  object: OpenableObject,
  body: AsyncIterable<Uint8Array>,
  input: ReadAheadInput,
): AsyncGenerator<Buffer, undefined> {
  const { endChunk, startsWithHeader, windowChunks = maxWindowChunks } = input;
  const { config } = object;
  const total = plaintextLength(object.ciphertextLength);
  const ahead: Ahead[] = [];
  let nextChunk = input.firstChunk;
  const nextWindow = () => {
    const range = chunkRange(nextChunk, Math.min(windowChunks, endChunk - nextChunk), total);
    nextChunk += range.chunks;
    return range;
  };
  const fill = () => {
    // With the one that is being read.
    while (ahead.length + 1 < config.maxConcurrentParts && nextChunk < endChunk) {
      const hold = config.budget.tryAcquireForPrefetch(
        object,
        sealedBytes(Math.min(windowChunks, endChunk - nextChunk)),
      );
      if (!hold) return;
      const range = nextWindow();
      // Memory of its own: what is handed out is the reader's.
      const slab = Buffer.allocUnsafeSlow(sealedBytes(range.chunks)).buffer as ArrayBuffer;
      const opened = fetchWindow(object, range, slab);
      // It is told when its turn comes, if it ever does.
      opened.catch(() => undefined);
      ahead.push({ range, hold, opened });
    }
  };
  let current: Ahead | undefined;
  try {
    const first = nextWindow();
    for await (const piece of openStreamed(
      object,
      first,
      firstWindow(body, first, startsWithHeader ? object.keys : undefined, nextChunk === endChunk),
    )) {
      fill();
      yield piece;
    }
    while (true) {
      current = ahead.shift();
      if (current) {
        fill();
        yield* pieces((await current.opened).slab, current.range.plaintextBytes);
        current.hold.release();
      } else if (nextChunk < endChunk) {
        const range = nextWindow();
        for await (const piece of openStreamed(object, range, streamWindow(object, range))) {
          fill();
          yield piece;
        }
      } else return undefined;
    }
  } finally {
    current?.hold.release();
    for (const { hold } of ahead) hold.release();
  }
}

function* pieces(slab: ArrayBuffer, bytes: number): Generator<Buffer> {
  for (let start = 0; start < bytes; start += pieceBytes)
    yield Buffer.from(slab, start, Math.min(pieceBytes, bytes - start));
}

function openStreamed({ config, keys }: OpenableObject, range: ChunkRange, body: AsyncIterable<Uint8Array>) {
  const { firstChunk, endsMessage } = range;
  return openSource(body, { keys, firstChunk, endsMessage }, workingOf(config));
}

/** The chunks of the first window, after the header has been compared; then lets go of the rest. */
async function* firstWindow(
  body: AsyncIterable<Uint8Array>,
  { ciphertextBytes }: ChunkRange,
  keysOfHeader: MessageKeys | undefined,
  isAll: boolean,
): AsyncGenerator<Uint8Array, undefined> {
  let header = Buffer.alloc(0);
  let left = ciphertextBytes;
  for await (const piece of body) {
    const missing = keysOfHeader ? headerBytes - header.length : 0;
    if (keysOfHeader && missing > 0) {
      header = Buffer.concat([header, piece.subarray(0, missing)]);
      if (header.length < headerBytes) continue;
      requireHeader(keysOfHeader, header);
    }
    const chunks = piece.subarray(missing, missing + left);
    left -= chunks.length;
    if (chunks.length > 0) yield chunks;
    // A body that holds no more is read to its end, which leaves its connection to others.
    if (left === 0 && !isAll) return undefined;
  }
  return undefined;
}

async function* streamWindow(
  object: OpenableObject,
  range: ChunkRange,
): AsyncGenerator<Uint8Array, undefined> {
  const answer = await pinnedResponse(object, windowRange(range));
  yield* answer.read(0, range.ciphertextBytes);
  return undefined;
}
