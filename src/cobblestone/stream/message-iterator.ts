/**
 * A source run through a sealer or an opener, piece by piece. An async generator would do the same in fewer
 * lines and more time; docs/performance/notes.md has the figures.
 */
import { bytesArgument } from "../../base/arguments.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { iteratorOf, unawaited } from "../../base/iterators.js";
import type { TakenSource } from "../../source/gate.js";
import { bytesOf } from "../../source/shape.js";
import { type Codec, type ParallelPipeline, stepBytes } from "../engine/pipeline.js";

const nothing = new Uint8Array(0);

/**
 * Iterates over what a codec makes of a source, as an async generator would; but once it has failed it goes on
 * failing. A message that has become long goes on in runs, which read ahead.
 */
export class MessageIterator implements AsyncIterableIterator<Buffer> {
  readonly #source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly #codec: Codec;
  readonly #runs: ParallelPipeline | undefined;
  /** Made by the first read, gone when the source has ended or failed. */
  #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array> | undefined;
  #isReading = false;
  #isOpened = false;
  /** Input that has been read, but not been taken, and how much has been. */
  #input: Uint8Array = nothing;
  #takenBytes = 0;
  #isInRuns = false;
  /** Output that has been made, and how many of its pieces have been handed out. */
  #output: readonly Buffer[] = [];
  #handedOut = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  /** Calls that have not been answered, and the last of them: each is answered after those before it. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    codec: Codec,
    runs?: ParallelPipeline,
  ) {
    this.#source = source;
    this.#codec = codec;
    this.#runs = runs;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const value = this.#waiting === 0 ? this.#output[this.#handedOut] : undefined;
    if (!value) return this.#inTurn(() => this.#find());
    this.#handedOut += 1;
    return Promise.resolve({ done: false, value });
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    return this.#inTurn(async () => {
      this.#ended = true;
      this.#output = [];
      await this.#close();
      return { done: true, value: undefined };
    });
  }

  /** Lets go of memory that makes the next pieces faster, before a long wait. */
  trim(): void {
    if (this.#handedOut < this.#output.length) return;
    this.#handOut([], this.#ended);
    this.#runs?.trim();
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const answer = this.#last.then(act).finally(() => {
      this.#waiting -= 1;
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #find(): Promise<IteratorResult<Buffer, undefined>> {
    while (true) {
      const value = this.#output[this.#handedOut];
      if (value) {
        this.#handedOut += 1;
        return { done: false, value };
      }
      if (this.#failure) throw this.#failure.error;
      if (this.#ended) return { done: true, value: undefined };
      if (shouldYield()) await yieldToEventLoop();
      try {
        if (this.#runs && this.#isInRuns) {
          const output = await this.#runs.next();
          this.#handOut(output ?? [], output === undefined);
        } else if (this.#input.length > 0) {
          this.#work();
        } else {
          const input = await this.#read();
          if (input) this.#input = input;
          else this.#handOut(this.#codec.final(), true);
        }
      } catch (error) {
        this.#failure = { error };
        // The first failure is the one that counts.
        await this.#close().catch(() => undefined);
      }
    }
  }

  #handOut(output: readonly Buffer[], isLast: boolean): void {
    this.#output = output;
    this.#handedOut = 0;
    this.#ended = isLast;
  }

  /** Works on what has been read, or has the runs do it from here on. */
  #work(): void {
    if (this.#runs?.isWanted(this.#takenBytes)) {
      this.#isInRuns = true;
      this.#runs.start(this.#input, () => this.#read());
      this.#input = nothing;
      return;
    }
    const all = this.#input.length <= stepBytes;
    const step = all ? this.#input : this.#input.subarray(0, stepBytes);
    this.#input = all ? nothing : this.#input.subarray(stepBytes);
    this.#takenBytes += step.length;
    this.#handOut(this.#codec.update(step), false);
  }

  /** The next piece of the source, if there is one. */
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

  /** Ends the source, unless it has ended or failed; one that has not been opened is given back. */
  async #close(): Promise<void> {
    this.#runs?.close();
    const iterator = this.#iterator;
    this.#iterator = undefined;
    if (!this.#isOpened) (this.#source as Partial<TakenSource>).release?.();
    if (!this.#isReading) {
      await iterator?.return?.();
      return;
    }
    // Reading ahead: a source that never answers would not answer this either, so it is not waited for.
    unawaited(() => iterator?.return?.());
  }
}
