/** Processes one message on the workers of an engine: reads ahead within a bound, and returns output in order. */
import { ownCopy } from "../../base/bytes.js";
import { Condition } from "../../base/condition.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { type ChunkBatch, outputBytes } from "../batch.js";
import { sealedBytes } from "../layout.js";
import type { WorkerPool } from "./worker-pool.js";

/** Turns input of any lengths into output: a Sealer or an Opener. Synchronous; no stream. */
export interface Codec {
  update(input: Uint8Array): Buffer[];
  final(): Buffer[];
}

/** A codec whose chunks can be processed elsewhere. */
export interface BatchCodec extends Codec {
  /** Bytes of a full chunk in the input. */
  readonly inputUnit: number;
  /** Whether {@link nextBatch} may be called: the header of the message has been processed. */
  readonly isReady: boolean;
  /** Passes on the full chunks in more input, unprocessed. They are valid until `onChunks` returns. */
  split(input: Uint8Array, onChunks: (chunks: Uint8Array) => void): void;
  /** Describes how to process the next chunks that were split off. Each chunk belongs to one batch. */
  nextBatch(chunks: number): ChunkBatch;
}

/** Chunks in a full batch: 1 MiB of plaintext. */
const batchChunks = 64;
/** The maximum size of output that is pending or waits for its reader, in bytes; one piece of input more may exceed it. */
const maxAheadBytes = 4 * 1024 * 1024;
/** The maximum memory for one message, in bytes: output that is pending, waits, or was returned last. */
export const maxReadAheadBytes = 6 * 1024 * 1024;
/** Input is processed in pieces of at most this many bytes. */
export const maxInputBytes = 256 * 1024;

/** Output at its place in the message: pending, available or failed. */
interface Output {
  /** Bytes of memory that it occupies. */
  readonly bytes: number;
  pieces?: readonly Buffer[];
  /** The whole buffer that contains the pieces. */
  buffer?: ArrayBuffer;
  failure?: { readonly error: unknown };
}

/** How the batches of one message are processed. */
export interface PipelineOptions {
  /** Whether output may be overwritten once the next output is requested. */
  readonly reuseBuffers: boolean;
  /** The number of workers to start for this message. */
  readonly wantedWorkers: number;
}

/** Produces the output of one message from the byte on at which it takes over from the calling thread. */
export class ParallelPipeline {
  readonly #codec: BatchCodec;
  readonly #pool: WorkerPool;
  /** In the order of the message. */
  readonly #outputs: Output[] = [];
  #aheadBytes = 0;
  #pendingBatches = 0;
  /** The batch that is being filled, and how much of it is full. */
  #buffer: Buffer | undefined;
  #bufferedBytes = 0;
  readonly #reusesBuffers: boolean;
  readonly #wantedWorkers: number;
  /** Input that was read but not processed when this took over. */
  #unprocessed: Uint8Array | undefined;
  /** Buffers for reuse, and the one that was returned last, which is still being read. */
  readonly #spareBuffers: ArrayBuffer[] = [];
  #returnedBuffer: ArrayBuffer | undefined;
  #ended = false;
  /** Notified when more input may be processed, and when the next output may be available. */
  readonly #room = new Condition();
  readonly #available = new Condition();

  constructor(codec: BatchCodec, pool: WorkerPool, { reuseBuffers, wantedWorkers }: PipelineOptions) {
    this.#codec = codec;
    this.#pool = pool;
    this.#reusesBuffers = reuseBuffers;
    this.#wantedWorkers = wantedWorkers;
  }

  /** Whether a message should continue here after this many bytes. */
  isWanted(bytes: number): boolean {
    return bytes >= this.#pool.minWorkerBytes && this.#pool.hasWorkers && this.#codec.isReady;
  }

  /** Takes over: processes input that was read before, then the input that `read` returns. */
  start(unprocessed: Uint8Array, read: () => Promise<Uint8Array | undefined>): void {
    this.#unprocessed = unprocessed;
    this.#processAll(read)
      .catch((error: unknown) => this.#append({ bytes: 0, failure: { error } }))
      .finally(() => {
        this.#ended = true;
        this.#available.notify();
      });
  }

  /** The next output, in order; undefined after the last. Rejects with the failure at this place of the message. */
  async next(): Promise<readonly Buffer[] | undefined> {
    if (this.#returnedBuffer) this.#spareBuffers.push(this.#returnedBuffer);
    this.#returnedBuffer = undefined;
    while (true) {
      const first = this.#outputs[0];
      if (first?.failure) throw first.failure.error;
      if (first?.pieces) {
        this.#outputs.shift();
        this.#aheadBytes -= first.bytes;
        if (this.#reusesBuffers) this.#returnedBuffer = first.buffer;
        this.#room.notify();
        return first.pieces;
      }
      if (!first && this.#ended) return undefined;
      await this.#available.wait();
    }
  }

  /** Drops memory that is kept for later output, and the reference to the output that was returned last. */
  trim(): void {
    this.#returnedBuffer = undefined;
    this.#spareBuffers.length = 0;
  }

  /** Drops all pending and available output. */
  close(): void {
    this.#ended = true;
    this.#outputs.length = 0;
    this.#buffer = undefined;
    this.#spareBuffers.length = 0;
    this.#room.notify();
  }

  async #processAll(read: () => Promise<Uint8Array | undefined>): Promise<void> {
    const next = async () => {
      try {
        return await read();
      } catch (error) {
        this.#submit();
        throw error;
      }
    };
    let input: Uint8Array | undefined = this.#unprocessed;
    this.#unprocessed = undefined;
    for (; input; input = await next()) {
      for (let start = 0; start < input.length; start += maxInputBytes) {
        const piece = input.subarray(start, start + maxInputBytes);
        await this.#waitForRoom(piece.length);
        if (this.#ended) return;
        await this.#process(piece);
        if (shouldYield()) await yieldToEventLoop();
      }
      if (this.#ended) return;
      // While the source is slow, nothing else would produce the output that the reader waits for.
      if (this.#pendingBatches === 0) this.#submit();
    }
    this.#submit();
    this.#append({ bytes: 0, pieces: this.#codec.final() });
  }

  /** Waits until a piece of input fits into the current batch, or a worker is free, or there is no worker. */
  async #waitForRoom(bytes: number): Promise<void> {
    while (!this.#ended && !this.#fits(bytes) && !this.#hasRoom()) {
      // The pool refers to this message only while it waits for a worker: one that nobody reads can be collected.
      const cancel = this.#isFull ? undefined : this.#pool.changed.once(() => this.#room.notify());
      await this.#room.wait();
      cancel?.();
    }
  }

  /** Whether input fits into the current batch; the bytes that the codec has held back may add one chunk. */
  #fits(bytes: number): boolean {
    const { inputUnit } = this.#codec;
    return this.#buffer !== undefined && this.#bufferedBytes + bytes + inputUnit <= batchChunks * inputUnit;
  }

  get #isFull(): boolean {
    return this.#aheadBytes >= maxAheadBytes;
  }

  #hasRoom(): boolean {
    return !this.#isFull && (this.#pool.findRoom(this.#wantedWorkers) || this.#pool.readyWorkers === 0);
  }

  /** Processes input on the calling thread until a worker has started, and again when no worker is left. */
  async #process(piece: Uint8Array): Promise<void> {
    if (this.#buffer || this.#pool.readyWorkers > 0) return this.#fill(piece);
    const pieces = this.#codec.update(piece);
    if (pieces.length > 0) this.#append({ bytes: piece.length, pieces });
    // Lets the message of a worker that has started arrive.
    return yieldToEventLoop();
  }

  #fill(piece: Uint8Array): void {
    const { inputUnit } = this.#codec;
    this.#codec.split(piece, (chunks) => {
      let rest = chunks;
      while (rest.length > 0) {
        this.#buffer ??= Buffer.from(
          this.#spareBuffers.pop() ?? Buffer.allocUnsafeSlow(sealedBytes(batchChunks)).buffer,
        );
        const fitting = rest.subarray(0, batchChunks * inputUnit - this.#bufferedBytes);
        this.#buffer.set(fitting, this.#bufferedBytes);
        this.#bufferedBytes += fitting.length;
        rest = rest.subarray(fitting.length);
        if (this.#bufferedBytes === batchChunks * inputUnit) this.#submit();
      }
    });
  }

  /** Gives the current batch to a worker, if there is one. */
  #submit(): void {
    if (!this.#buffer) return;
    const buffer = this.#buffer.buffer as ArrayBuffer;
    const batch = this.#codec.nextBatch(this.#bufferedBytes / this.#codec.inputUnit);
    this.#buffer = undefined;
    this.#bufferedBytes = 0;
    const bytes = outputBytes(batch);
    // A small output is copied, because it would keep a whole buffer in memory.
    const isCopied = bytes * 2 <= buffer.byteLength;
    const output: Output = { bytes: isCopied ? bytes : buffer.byteLength };
    this.#append(output);
    this.#pendingBatches += 1;
    this.#pool
      .process(batch, buffer)
      .then((processed) => {
        const view = Buffer.from(processed, 0, bytes);
        output.pieces = [isCopied ? ownCopy(view) : view];
        if (!isCopied) output.buffer = processed;
        else if (!this.#ended) this.#spareBuffers.push(processed);
      })
      .catch((error: unknown) => {
        output.failure = { error };
      })
      .finally(() => {
        this.#pendingBatches -= 1;
        if (this.#pendingBatches === 0 && !this.#ended) this.#submit();
        this.#available.notify();
      });
  }

  #append(output: Output): void {
    if (this.#ended) return;
    this.#outputs.push(output);
    this.#aheadBytes += output.bytes;
    this.#available.notify();
  }
}
