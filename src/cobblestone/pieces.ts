/**
 * A source run through a sealer or an opener, piece by piece. An async generator would do the same in fewer
 * lines and more time; docs/decisions.md 9 has the figures.
 */
import { bytesArgument } from "../arguments.js";
import { Turn } from "../turn.js";

/** What turns input into pieces of output: a Sealer or an Opener. */
export interface Codec {
  update(input: Uint8Array): Buffer[];
  final(): Buffer[];
}

/** Input is taken in at most this many bytes at a time, so that pieces of output never pile up. */
const stepBytes = 256 * 1024;

/** Iterates over what a codec makes of a source, as an async generator would; but once it has failed it goes on failing. */
export class Pieces implements AsyncIterableIterator<Buffer> {
  readonly #source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly #codec: Codec;
  readonly #turn = new Turn();
  /** Made by the first read. */
  #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array> | undefined;
  /** Input that has been read, but not been taken. */
  #input: Uint8Array = new Uint8Array(0);
  /** Output that has been made, and how many of its pieces have been handed out. */
  #output: readonly Buffer[] = [];
  #handedOut = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  /** Calls that have not been answered, and the last of them: each is answered after those before it. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, codec: Codec) {
    this.#source = source;
    this.#codec = codec;
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
      const open = !this.#ended && !this.#failure;
      this.#ended = true;
      this.#output = [];
      if (open) await this.#iterator?.return?.();
      return { done: true, value: undefined };
    });
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
      await this.#advance();
    }
  }

  /** Makes the next output, or reads the next input. */
  async #advance(): Promise<void> {
    if (this.#turn.isOver) await this.#turn.give();
    if (this.#input.length > 0) {
      const step = this.#input.subarray(0, stepBytes);
      this.#input = this.#input.subarray(stepBytes);
      return this.#run(() => this.#codec.update(step));
    }
    let piece: IteratorResult<unknown>;
    try {
      this.#iterator ??= iteratorOf(this.#source);
      piece = await this.#iterator.next();
      this.#ended = piece.done === true;
    } catch (error) {
      this.#failure = { error };
      return undefined;
    }
    if (this.#ended) return this.#run(() => this.#codec.final());
    return this.#run(() => {
      this.#input = bytesArgument("source: each piece", piece.value);
      return [];
    });
  }

  /** Keeps the output, or the failure, which ends a source that has not ended by itself. */
  async #run(make: () => Buffer[]): Promise<void> {
    try {
      this.#output = make();
      this.#handedOut = 0;
    } catch (error) {
      this.#failure = { error };
      if (this.#ended) return;
      try {
        await this.#iterator?.return?.();
      } catch {
        // The first failure is the one that counts.
      }
    }
  }
}

/** The iterator of a source of either kind. */
export function iteratorOf<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}
