/**
 * Iterates over a message, sealed or opened piece by piece. An async generator would do the same in fewer lines, but takes
 * more time; docs/performance/notes.md has the figures.
 */
import { bytesArgument } from "../../base/arguments.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { iteratorOf, unawaited } from "../../base/iterators.js";
import type { LockedSource } from "../../source/locked-source.js";
import { bytesOf } from "../../source/shape.js";
import { type Codec, maxInputBytes, type ParallelPipeline } from "../engine/pipeline.js";

const nothing = new Uint8Array(0);

/**
 * Iterates over the output of a codec for a source, as an async generator would, except that it keeps failing after a
 * failure. A long message continues in a parallel pipeline, which reads ahead.
 */
export class MessageIterator implements AsyncIterableIterator<Buffer> {
  readonly #source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly #codec: Codec;
  readonly #pipeline: ParallelPipeline | undefined;
  /** Created by the first read, undefined again when the source has ended or failed. */
  #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array> | undefined;
  #isReading = false;
  #isOpened = false;
  /** Input that was read but not processed yet, and the number of bytes that were processed. */
  #input: Uint8Array = nothing;
  #processedBytes = 0;
  #isParallel = false;
  /** The current output, and the number of its pieces that have been returned. */
  #output: readonly Buffer[] = [];
  #returned = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  /** The number of pending calls, and the last of them: each settles after those before it. */
  #pending = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    codec: Codec,
    pipeline?: ParallelPipeline,
  ) {
    this.#source = source;
    this.#codec = codec;
    this.#pipeline = pipeline;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const value = this.#pending === 0 ? this.#output[this.#returned] : undefined;
    if (!value) return this.#afterPending(() => this.#find());
    this.#returned += 1;
    return Promise.resolve({ done: false, value });
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    return this.#afterPending(async () => {
      this.#ended = true;
      this.#output = [];
      await this.#close();
      return { done: true, value: undefined };
    });
  }

  /** Drops memory that makes the next pieces faster, before a long wait. */
  trim(): void {
    if (this.#returned < this.#output.length) return;
    this.#setOutput([], this.#ended);
    this.#pipeline?.trim();
  }

  #afterPending<T>(act: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    const result = this.#last.then(act).finally(() => {
      this.#pending -= 1;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #find(): Promise<IteratorResult<Buffer, undefined>> {
    while (true) {
      const value = this.#output[this.#returned];
      if (value) {
        this.#returned += 1;
        return { done: false, value };
      }
      if (this.#failure) throw this.#failure.error;
      if (this.#ended) return { done: true, value: undefined };
      if (shouldYield()) await yieldToEventLoop();
      try {
        if (this.#pipeline && this.#isParallel) {
          const output = await this.#pipeline.next();
          this.#setOutput(output ?? [], output === undefined);
        } else if (this.#input.length > 0) {
          this.#process();
        } else {
          const input = await this.#read();
          if (input) this.#input = input;
          else this.#setOutput(this.#codec.final(), true);
        }
      } catch (error) {
        this.#failure = { error };
        // The first failure is the one that counts.
        await this.#close().catch(() => undefined);
      }
    }
  }

  #setOutput(output: readonly Buffer[], isLast: boolean): void {
    this.#output = output;
    this.#returned = 0;
    this.#ended = isLast;
  }

  /** Processes input that has been read, or hands the rest of the message over to the pipeline. */
  #process(): void {
    if (this.#pipeline?.isWanted(this.#processedBytes)) {
      this.#isParallel = true;
      this.#pipeline.start(this.#input, () => this.#read());
      this.#input = nothing;
      return;
    }
    const all = this.#input.length <= maxInputBytes;
    const piece = all ? this.#input : this.#input.subarray(0, maxInputBytes);
    this.#input = all ? nothing : this.#input.subarray(maxInputBytes);
    this.#processedBytes += piece.length;
    this.#setOutput(this.#codec.update(piece), false);
  }

  /** The next piece of the source; undefined at its end. */
  async #read(): Promise<Uint8Array | undefined> {
    let piece: IteratorResult<unknown>;
    try {
      this.#isReading = true;
      this.#isOpened = true;
      this.#iterator ??= iteratorOf(this.#source);
      piece = await this.#iterator.next();
      if (piece.done === true) this.#iterator = undefined;
    } catch (error) {
      this.#iterator = undefined;
      throw error;
    } finally {
      this.#isReading = false;
    }
    if (piece.done === true) return undefined;
    return bytesOf(piece.value) ?? bytesArgument("source: each piece", piece.value);
  }

  /** Closes the source, unless it has ended or failed. Releases a source that was never read. */
  async #close(): Promise<void> {
    this.#pipeline?.close();
    const iterator = this.#iterator;
    this.#iterator = undefined;
    if (!this.#isOpened) (this.#source as Partial<LockedSource>).release?.();
    if (!this.#isReading) {
      await iterator?.return?.();
      return;
    }
    // Not awaited: a source that never settles a pending read would not settle this either.
    unawaited(() => iterator?.return?.());
  }
}
