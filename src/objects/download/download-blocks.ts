/** Fetches the blocks of an object into a partial file, and gives that its final name. */
import { encodeBase64 } from "../../base/bytes.js";
import { forEachConcurrently } from "../../base/concurrency.js";
import { type CheckedRange, checkRange } from "../../cobblestone/engine/ranges.js";
import { chunkCount, chunkRange, plaintextLength, sealedBytes } from "../../cobblestone/layout.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { Call } from "../../transfer/call.js";
import type { Lease } from "../../transfer/memory-budget.js";
import type { ReadableObject } from "../encrypted/format.js";
import { fetchBlock } from "../parallel/blocks.js";
import type { DownloadArguments } from "./download-input.js";
import { PartialFile } from "./partial-file.js";

/** The blocks of a download. */
export interface DownloadBlocksInput {
  readonly chunksPerBlock: number;
  /** The response to the request for the first block, and the memory that was acquired for it. */
  readonly first: { readonly response: ObjectResponse; readonly lease: Lease };
  readonly call: Call;
}

/**
 * Downloads the blocks that the partial file of an earlier call does not hold.
 *
 * @returns how many bytes the partial file held
 * @throws EnvelopeError `FILE_FAILED`, and those of `fetchBlock`
 */
export async function downloadBlocks(
  object: ReadableObject,
  { path, fsync, mode, keepPartial }: Pick<DownloadArguments, "path" | "fsync" | "mode" | "keepPartial">,
  { chunksPerBlock, first, call }: DownloadBlocksInput,
): Promise<number> {
  const bytes = plaintextLength(object.ciphertextLength);
  const blocks = Math.ceil(chunkCount(bytes) / chunksPerBlock);
  call.meter.totalBytes = bytes;
  call.meter.totalParts = blocks;
  const file = await PartialFile.open(path, identityOf(object, chunksPerBlock));
  const download = new BlockDownload(object, file, { chunksPerBlock, first, call });
  try {
    const indexes = new Array(blocks).keys();
    await forEachConcurrently(indexes, object.config.maxConcurrentParts, call, (index) =>
      download.block(index),
    );
    await file.finish({ bytes, fsync, mode });
  } catch (error) {
    call.abort(error);
    throw await file.keepOrRemove(error, keepPartial, call.isCallersReason(error));
  }
  call.meter.end();
  return download.resumedBytes;
}

/** Identifies this state of this object and the size of its blocks: a partial file with another identity is not resumed. */
function identityOf(
  { target, get, state, keys, ciphertextLength }: ReadableObject,
  chunksPerBlock: number,
): string {
  const { bucket, key } = target;
  const { ETag } = state;
  const header = encodeBase64(keys.header);
  return JSON.stringify({
    journal: "s3-envelope/download 1",
    bucket,
    key,
    versionId: get.VersionId,
    ETag,
    header,
    ciphertextLength,
    chunksPerBlock,
  });
}

class BlockDownload {
  readonly #object: ReadableObject;
  readonly #file: PartialFile;
  readonly #input: DownloadBlocksInput;
  readonly #plaintextLength: number;
  /** Every block but the last fills a buffer of this size, which is reused. */
  readonly #bufferBytes: number;
  resumedBytes = 0;

  constructor(object: ReadableObject, file: PartialFile, input: DownloadBlocksInput) {
    this.#object = object;
    this.#file = file;
    this.#input = input;
    this.#plaintextLength = plaintextLength(object.ciphertextLength);
    this.#bufferBytes = sealedBytes(Math.min(input.chunksPerBlock, chunkCount(this.#plaintextLength)));
  }

  /** Writes a block into the partial file, unless an earlier call has done so. */
  async block(index: number): Promise<void> {
    const { call, chunksPerBlock } = this.#input;
    const first = index === 0 ? this.#input.first : undefined;
    const block = chunkRange(index * chunksPerBlock, chunksPerBlock, this.#plaintextLength);
    const lease = first?.lease ?? (await this.#acquire());
    try {
      let buffer = (lease.memory ?? Buffer.allocUnsafeSlow(this.#bufferBytes)).buffer as ArrayBuffer;
      const tagDigest = this.#file.digestOf(index);
      if (tagDigest) {
        first?.response.close();
        const checked = await this.#check(index, buffer, tagDigest);
        buffer = checked.buffer;
        if (checked.isSame) {
          lease.release(Buffer.from(buffer));
          this.resumedBytes += block.plaintextBytes;
          call.meter.resume(block.plaintextBytes, 1);
          return;
        }
        call.signal.throwIfAborted();
      }
      const response = tagDigest ? undefined : first?.response;
      const opened = await fetchBlock(this.#object, block, buffer, response);
      call.signal.throwIfAborted();
      await this.#file.write(index, block, opened.buffer, opened.tagDigest);
      lease.release(Buffer.from(opened.buffer));
      call.meter.add(block.plaintextBytes, 1);
    } finally {
      lease.release();
    }
  }

  #acquire(): Promise<Lease> {
    const { call } = this.#input;
    return this.#object.config.budget.acquire(call, this.#bufferBytes, call.signal, this.#bufferBytes);
  }

  /** Whether the partial file still holds a block as the journal lists it: it may have been lost or changed. */
  async #check(index: number, buffer: ArrayBuffer, tagDigest: Buffer): Promise<CheckedRange> {
    const { chunksPerBlock } = this.#input;
    const { keys, config } = this.#object;
    const block = chunkRange(index * chunksPerBlock, chunksPerBlock, this.#plaintextLength);
    if (!(await this.#file.read(block, buffer))) return { buffer, isSame: false };
    return checkRange(config.engine, keys, block, buffer, tagDigest);
  }
}
