/** Reads consecutive chunks in order, from blocks that are fetched ahead of the reader. */
import { type MessageKeys, requireHeader } from "../../cobblestone/derivation.js";
import type { OpenedRange } from "../../cobblestone/engine/ranges.js";
import {
  type ChunkRange,
  chunkRange,
  headerBytes,
  plaintextLength,
  sealedBytes,
} from "../../cobblestone/layout.js";
import { openSource } from "../../cobblestone/stream/message.js";
import type { Lease } from "../../transfer/memory-budget.js";
import { processingOf } from "../encrypted/config.js";
import type { ChunksToRead, ReadableObject } from "../encrypted/format.js";
import { refetchPinned } from "../encrypted/pinned-object.js";
import { blockChunks, fetchBlock, requestRange } from "./blocks.js";

/** Plaintext of a block is returned in pieces of at most this many bytes. */
const pieceBytes = 512 * 1024;

/**
 * Yields the plaintext of chunks. Blocks ahead of the reader are held in memory as far as the memory budget has room;
 * without room the blocks are streamed, one after the other. End it early with the signal of the object.
 *
 * @param body begins with these chunks; at most one block of it is read
 */
export function readAhead(
  object: ReadableObject,
  body: AsyncIterable<Uint8Array>,
  chunks: ChunksToRead,
): AsyncGenerator<Buffer, undefined> {
  return new ReadAhead(object, chunks).read(body, chunks.startsWithHeader);
}

/** A block that is being fetched or waits for the reader. */
interface Prefetched {
  readonly block: ChunkRange;
  readonly lease: Lease;
  readonly opened: Promise<OpenedRange>;
}

class ReadAhead {
  readonly #object: ReadableObject;
  readonly #plaintextLength: number;
  readonly #endChunk: number;
  /** The first chunk that is neither being read nor prefetched. */
  #nextChunk: number;
  /** In the order of their chunks. */
  readonly #prefetched: Prefetched[] = [];

  constructor(object: ReadableObject, { firstChunk, endChunk }: ChunksToRead) {
    this.#object = object;
    this.#plaintextLength = plaintextLength(object.ciphertextLength);
    this.#endChunk = endChunk;
    this.#nextChunk = firstChunk;
  }

  async *read(body: AsyncIterable<Uint8Array>, startsWithHeader: boolean): AsyncGenerator<Buffer, undefined> {
    try {
      const first = this.#takeBlock();
      const keys = startsWithHeader ? this.#object.keys : undefined;
      yield* this.#stream(first, chunksOf(body, first, keys, this.#isLast()));
      for (let next = this.#prefetched[0]; next || !this.#isLast(); next = this.#prefetched[0]) {
        if (next) yield* this.#takePrefetched(next);
        else yield* this.#streamNext();
      }
      return undefined;
    } finally {
      for (const { lease } of this.#prefetched) lease.release();
    }
  }

  #isLast(): boolean {
    return this.#nextChunk === this.#endChunk;
  }

  #nextChunks(): number {
    return Math.min(blockChunks, this.#endChunk - this.#nextChunk);
  }

  #takeBlock(): ChunkRange {
    const block = chunkRange(this.#nextChunk, this.#nextChunks(), this.#plaintextLength);
    this.#nextChunk += block.chunks;
    return block;
  }

  /** Starts to fetch as many blocks as `maxConcurrentParts`, the one that is being read included, and the budget allow. */
  #prefetch(): void {
    const { maxConcurrentParts, budget } = this.#object.config;
    while (this.#prefetched.length + 1 < maxConcurrentParts && !this.#isLast()) {
      const bytes = sealedBytes(this.#nextChunks());
      const lease = budget.tryAcquireForPrefetch(this.#object, bytes);
      if (!lease) return;
      const block = this.#takeBlock();
      // Memory of its own, because the pieces that are returned belong to the reader.
      const buffer = Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
      const opened = fetchBlock(this.#object, block, buffer);
      // The failure is thrown when the block's turn comes.
      opened.catch(() => undefined);
      this.#prefetched.push({ block, lease, opened });
    }
  }

  /** Yields the plaintext of the first prefetched block, which keeps its lease until then. */
  async *#takePrefetched({ block, lease, opened }: Prefetched): AsyncGenerator<Buffer, undefined> {
    this.#prefetched.shift();
    try {
      this.#prefetch();
      const { buffer } = await opened;
      for (let start = 0; start < block.plaintextBytes; start += pieceBytes)
        yield Buffer.from(buffer, start, Math.min(pieceBytes, block.plaintextBytes - start));
    } finally {
      lease.release();
    }
    return undefined;
  }

  async *#streamNext(): AsyncGenerator<Buffer, undefined> {
    const block = this.#takeBlock();
    const { read } = await refetchPinned(this.#object, requestRange(block));
    yield* this.#stream(block, read(0, block.ciphertextBytes));
    return undefined;
  }

  /** Decrypts a block while it is received, and prefetches the blocks behind it. */
  async *#stream(block: ChunkRange, body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, undefined> {
    const { keys, config } = this.#object;
    const { firstChunk, endsMessage } = block;
    for await (const piece of openSource(body, { keys, firstChunk, endsMessage }, processingOf(config))) {
      this.#prefetch();
      yield piece;
    }
    return undefined;
  }
}

/**
 * Yields the chunks of the first block, after the header has been compared, and closes the body behind them.
 *
 * @param headerKeys undefined if the body does not begin with the header
 * @param isAll whether the body ends with the block: it is then read to its end, which makes its connection reusable
 */
async function* chunksOf(
  body: AsyncIterable<Uint8Array>,
  { ciphertextBytes }: ChunkRange,
  headerKeys: MessageKeys | undefined,
  isAll: boolean,
): AsyncGenerator<Uint8Array, undefined> {
  let header = Buffer.alloc(0);
  let left = ciphertextBytes;
  for await (const piece of body) {
    const missing = headerKeys ? headerBytes - header.length : 0;
    if (headerKeys && missing > 0) {
      header = Buffer.concat([header, piece.subarray(0, missing)]);
      if (header.length < headerBytes) continue;
      requireHeader(headerKeys, header);
    }
    const chunks = piece.subarray(missing, missing + left);
    left -= chunks.length;
    if (chunks.length > 0) yield chunks;
    if (left === 0 && !isAll) return undefined;
  }
  return undefined;
}
