/** One message worked on by an engine's workers: read ahead within a bound, handed out in order. */
import { Condition } from "../../base/condition.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { type ChunkBatch, workedBytes } from "../batch.js";
import { sealedBytes } from "../layout.js";
import type { WorkerPool } from "./worker-pool.js";

/** What turns input into pieces of output: a Sealer or an Opener. */
export interface Codec {
  update(input: Uint8Array): Buffer[];
  final(): Buffer[];
}

/** A codec whose chunks can be worked on elsewhere. */
export interface BatchCodec extends Codec {
  /** Bytes of a full chunk in the input. */
  readonly inputUnit: number;
  /** Whether runs can be taken: the message has begun. */
  readonly isReady: boolean;
  /** Hands on the full chunks of more input, not worked on; good until `use` returns. */
  cut(input: Uint8Array, use: (chunks: Uint8Array) => void): void;
  /** Says how the next chunks that were cut are to be worked on. Each chunk is taken once. */
  takeRun(chunks: number): ChunkBatch;
}

/** Chunks that go to a worker at a time: 1 MiB of plaintext. */
const slabChunks = 64;
/** Output that waits to be handed out, or is being made, takes no more than this and one step, in bytes. */
const maxAheadBytes = 4 * 1024 * 1024;
/** What is read ahead of one message takes no more than this, output that is being made or was just handed out included. */
export const maxReadAheadBytes = 6 * 1024 * 1024;
/** Input is taken in at most this many bytes at a time. */
export const stepBytes = 256 * 1024;

/** A stretch of output: what it is once it is there, or why it never will be. */
interface Stretch {
  /** Bytes of memory that it takes. */
  readonly bytes: number;
  output?: readonly Buffer[];
  /** The slab that the output lies in, all of it. */
  slab?: ArrayBuffer;
  failure?: { readonly error: unknown };
}

/** How the runs of one message are worked on. */
export interface PipelineOptions {
  /** Whether output may be overwritten once the next is asked for. */
  readonly reuseBuffers: boolean;
  /** For this message no more workers than so many are started. */
  readonly wantedWorkers: number;
}

/** Makes the output of one message from the place on where it takes over. */
export class ParallelPipeline {
  readonly #codec: BatchCodec;
  readonly #pool: WorkerPool;
  /** In the order of the message. */
  readonly #stretches: Stretch[] = [];
  #aheadBytes = 0;
  #inWork = 0;
  /** Whole chunks that no run has taken yet. */
  #slab: Buffer | undefined;
  #slabInput = 0;
  readonly #reusesOutput: boolean;
  readonly #wantedWorkers: number;
  /** What had been read and not worked on when this took over. */
  #unread: Uint8Array | undefined;
  /** Slabs that nobody needs any more, and the one that was handed out last. */
  readonly #spares: ArrayBuffer[] = [];
  #handedOut: ArrayBuffer | undefined;
  #ended = false;
  /** Notified when more input may be taken, and when the next output may be there. */
  readonly #room = new Condition();
  readonly #available = new Condition();

  constructor(codec: BatchCodec, pool: WorkerPool, { reuseBuffers, wantedWorkers }: PipelineOptions) {
    this.#codec = codec;
    this.#pool = pool;
    this.#reusesOutput = reuseBuffers;
    this.#wantedWorkers = wantedWorkers;
  }

  /** Whether a message of which so many bytes have been worked on should go on here. */
  isWanted(bytes: number): boolean {
    return bytes >= this.#pool.minWorkerBytes && this.#pool.hasWorkers && this.#codec.isReady;
  }

  /** Takes over: works on what has been read and not been worked on, then on what `read` gives. */
  start(unread: Uint8Array, read: () => Promise<Uint8Array | undefined>): void {
    this.#unread = unread;
    this.#work(read)
      .catch((error: unknown) => this.#put({ bytes: 0, failure: { error } }))
      .finally(() => {
        this.#ended = true;
        this.#available.notify();
      });
  }

  /** The next output, in order; undefined after the last. Rejects with what went wrong there. */
  async next(): Promise<readonly Buffer[] | undefined> {
    if (this.#handedOut) this.#spares.push(this.#handedOut);
    this.#handedOut = undefined;
    while (true) {
      const head = this.#stretches[0];
      if (head?.failure) throw head.failure.error;
      if (head?.output) {
        this.#stretches.shift();
        this.#aheadBytes -= head.bytes;
        if (this.#reusesOutput) this.#handedOut = head.slab;
        this.#room.notify();
        return head.output;
      }
      if (!head && this.#ended) return undefined;
      await this.#available.wait();
    }
  }

  /** Lets go of memory that is kept for output to come, and of the output that was handed out last. */
  trim(): void {
    this.#handedOut = undefined;
    this.#spares.length = 0;
  }

  /** Lets go of all that is under way and of all that was not handed out. */
  close(): void {
    this.#ended = true;
    this.#stretches.length = 0;
    this.#slab = undefined;
    this.#spares.length = 0;
    this.#room.notify();
  }

  async #work(read: () => Promise<Uint8Array | undefined>): Promise<void> {
    const next = async () => {
      try {
        return await read();
      } catch (error) {
        this.#send();
        throw error;
      }
    };
    let input: Uint8Array | undefined = this.#unread;
    this.#unread = undefined;
    for (; input; input = await next()) {
      for (let start = 0; start < input.length; start += stepBytes) {
        const step = input.subarray(start, start + stepBytes);
        await this.#untilRoom(step.length);
        if (this.#ended) return;
        await this.#takeIn(step);
        if (shouldYield()) await yieldToEventLoop();
      }
      if (this.#ended) return;
      // Nothing else would make the output that is waited for while the source is slow.
      if (this.#inWork === 0) this.#send();
    }
    this.#send();
    const output = this.#codec.final();
    this.#put({ bytes: 0, output });
  }

  /** Waits until a step can be taken: into the slab that has been begun, by a worker, or for want of one. */
  async #untilRoom(bytes: number): Promise<void> {
    while (!this.#ended && !this.#fits(bytes) && !this.#hasRoom()) {
      // The pool refers to this message only while it waits for a worker: one that nobody reads can be collected.
      const cancel = this.#isFull ? undefined : this.#pool.changed.once(() => this.#room.notify());
      await this.#room.wait();
      cancel?.();
    }
  }

  /** Whether a step goes into the slab that has been begun; a unit more may come of what has been held back. */
  #fits(bytes: number): boolean {
    const { inputUnit } = this.#codec;
    return this.#slab !== undefined && this.#slabInput + bytes + inputUnit <= slabChunks * inputUnit;
  }

  get #isFull(): boolean {
    return this.#aheadBytes >= maxAheadBytes;
  }

  #hasRoom(): boolean {
    return !this.#isFull && (this.#pool.findRoom(this.#wantedWorkers) || this.#pool.readyWorkers === 0);
  }

  /** Until a worker has started, or when there is none any more, this thread does the work. */
  async #takeIn(step: Uint8Array): Promise<void> {
    if (this.#slab || this.#pool.readyWorkers > 0) return this.#fill(step);
    const output = this.#codec.update(step);
    if (output.length > 0) this.#put({ bytes: step.length, output });
    // Lets a worker that has started be heard.
    return yieldToEventLoop();
  }

  #fill(step: Uint8Array): void {
    const { inputUnit } = this.#codec;
    this.#codec.cut(step, (chunks) => {
      let rest = chunks;
      while (rest.length > 0) {
        this.#slab ??= Buffer.from(
          this.#spares.pop() ?? Buffer.allocUnsafeSlow(sealedBytes(slabChunks)).buffer,
        );
        const part = rest.subarray(0, slabChunks * inputUnit - this.#slabInput);
        this.#slab.set(part, this.#slabInput);
        this.#slabInput += part.length;
        rest = rest.subarray(part.length);
        if (this.#slabInput === slabChunks * inputUnit) this.#send();
      }
    });
  }

  /** Has what is in the slab worked on, if anything is. */
  #send(): void {
    if (!this.#slab) return;
    const slab = this.#slab.buffer as ArrayBuffer;
    const run = this.#codec.takeRun(this.#slabInput / this.#codec.inputUnit);
    this.#slab = undefined;
    this.#slabInput = 0;
    const bytes = workedBytes(run);
    // A small output is copied: it would keep a whole slab in memory.
    const isCopied = bytes * 2 <= slab.byteLength;
    const stretch: Stretch = { bytes: isCopied ? bytes : slab.byteLength };
    this.#put(stretch);
    this.#inWork += 1;
    this.#pool
      .run(run, slab)
      .then((worked) => {
        const output = Buffer.from(worked, 0, bytes);
        stretch.output = [isCopied ? ownCopy(output) : output];
        if (!isCopied) stretch.slab = worked;
        else if (!this.#ended) this.#spares.push(worked);
      })
      .catch((error: unknown) => {
        stretch.failure = { error };
      })
      .finally(() => {
        this.#inWork -= 1;
        if (this.#inWork === 0 && !this.#ended) this.#send();
        this.#available.notify();
      });
  }

  #put(stretch: Stretch): void {
    if (this.#ended) return;
    this.#stretches.push(stretch);
    this.#aheadBytes += stretch.bytes;
    this.#available.notify();
  }
}

/** A copy in memory of its own. */
function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
