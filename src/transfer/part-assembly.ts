/**
 * Joins ciphertext into the parts of an upload, each in leased memory. Only the assembly knows how much room there is, so it
 * also controls how far the plaintext is read.
 */
import { untilAborted } from "../base/abort.js";
import { ownCopy } from "../base/bytes.js";
import { Condition } from "../base/condition.js";
import type { CallControl } from "./call.js";
import type { Lease, MemoryBudget } from "./memory-budget.js";
import { bodyTooLarge, maxParts, type PartSizes } from "./part-sizes.js";

/** The first buffer of a body of unknown length, which may be small: a whole part is allocated once it is full. */
const firstBufferBytes = 128 * 1024;

/** One part of an upload. */
export interface Part {
  readonly partNumber: number;
  /** Its offset in the body. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Whether no other part follows. */
  readonly isLast: boolean;
  /** The ciphertext, in memory that is not shared with anything; empty after the release. */
  readonly bytes: Buffer;
  /**
   * Releases the lease of the part, once its request is over.
   *
   * @param isUnread whether nobody can read `bytes` any more: their memory is then reused for another part. Fresh memory for
   *   each part would cost more than everything else that is done with it here
   */
  readonly release: (isUnread: boolean) => void;
}

/** Ciphertext in pieces. The memory of a piece may be reused once the next one is requested. */
export interface Ciphertext extends AsyncIterable<Buffer> {
  /** Drops memory before a long wait. */
  trim?(): void;
}

/** How far a plaintext may be read. */
export interface ReadAllowance {
  /** Bytes from the start. */
  readonly limit: number;
  /** Resolves when the limit rises; rejects with the reason of the call's signal. */
  raised(): Promise<void>;
}

/** What a {@link PartAssembly} is made of. */
export interface AssemblyInput {
  /** The holder of the leases: its end releases them. */
  readonly call: Pick<CallControl, "signal">;
  readonly budget: MemoryBudget;
  readonly sizes: PartSizes;
  /** Bytes of all parts, if known; saves memory for small bodies. */
  readonly ciphertextLength?: number | undefined;
  /** Memory that the encoder uses to read ahead, besides the parts. */
  readonly readAheadBytes: number;
  /** Bytes of plaintext that yield the first `ciphertextBytes` of the body and at least one byte more. */
  readonly plaintextBytesFor: (ciphertextBytes: number) => number;
}

/** Assembles the parts of one body. */
export class PartAssembly {
  readonly #input: AssemblyInput;
  readonly #allowance: Allowance;
  /** Goes back to the budget before every wait: whoever waits must hold nothing but what is released without them. */
  #readAhead: Lease | undefined;

  constructor(input: AssemblyInput) {
    this.#input = input;
    this.#allowance = new Allowance(input.call.signal);
  }

  /**
   * How far the plaintext may be read: as far as the part that is being filled needs, and one chunk more to know whether
   * another part follows.
   */
  get allowance(): ReadAllowance {
    return this.#allowance;
  }

  /**
   * Yields the parts. Acquires the lease of a part before the memory for it, and before it requests the first piece.
   *
   * @throws EnvelopeError `SOURCE_TOO_LARGE` at the 10,001st part
   */
  async *parts(ciphertext: Ciphertext): AsyncGenerator<Part, undefined> {
    const { sizes, ciphertextLength = Number.POSITIVE_INFINITY } = this.#input;
    let partNumber = 1;
    let start = 0;
    let partBytes = Math.min(sizes(partNumber), ciphertextLength);
    let lease = await this.#acquire(partBytes);
    this.#allow(partBytes);
    let buffer = new PartBuffer(lease, partBytes, firstBufferBytes);
    for await (const piece of ciphertext) {
      let rest = piece;
      while (rest.length > 0) {
        if (buffer.filled === partBytes) {
          if (partNumber === maxParts)
            throw bodyTooLarge(
              "it needs more than 10,000 parts: state ContentLength, or a larger partSizeBytes",
            );
          yield partOf(partNumber, start, false, buffer, lease);
          partNumber += 1;
          start += partBytes;
          partBytes = Math.min(sizes(partNumber), ciphertextLength - start);
          let next = this.#tryAcquire(partBytes);
          if (!next) {
            // A view would keep the whole memory of the encoder alive during the wait.
            rest = ownCopy(rest);
            ciphertext.trim?.();
            next = await this.#acquire(partBytes);
          }
          lease = next;
          this.#allow(start + partBytes);
          buffer = new PartBuffer(lease, partBytes, partBytes);
        }
        rest = rest.subarray(buffer.fill(rest));
      }
    }
    yield partOf(partNumber, start, true, buffer, lease);
    return undefined;
  }

  #allow(ciphertextBytes: number): void {
    this.#allowance.raise(this.#input.plaintextBytesFor(ciphertextBytes));
  }

  #tryAcquire(bytes: number): Lease | undefined {
    const { budget, call } = this.#input;
    return this.#readAhead && budget.tryAcquire(call, bytes, bytes);
  }

  /** Waits for the lease of a part and the memory to read ahead. Nothing may have been read ahead. */
  async #acquire(bytes: number): Promise<Lease> {
    const { budget, call, readAheadBytes } = this.#input;
    this.#readAhead?.release();
    this.#readAhead = undefined;
    const lease = await budget.acquire(call, bytes + readAheadBytes, call.signal, bytes);
    this.#readAhead = lease.split(readAheadBytes);
    return lease;
  }
}

class Allowance implements ReadAllowance {
  readonly #signal: AbortSignal;
  readonly #raised = new Condition();
  limit = 0;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  raise(limit: number): void {
    this.limit = limit;
    this.#raised.notify();
  }

  raised(): Promise<void> {
    return untilAborted(this.#signal, this.#raised.wait());
  }
}

const nothing: Buffer = Buffer.alloc(0);

/**
 * The memory of one part, and the only reference to it: a suspended generator keeps all its variables alive, and memory that
 * was released is no longer in the budget.
 */
class PartBuffer {
  readonly #partBytes: number;
  #memory: Buffer;
  /** Bytes that have been filled in. */
  filled = 0;

  /** @param firstBytes the size of the first buffer if the lease comes without memory */
  constructor(lease: Lease, partBytes: number, firstBytes: number) {
    this.#partBytes = partBytes;
    this.#memory = lease.memory ?? Buffer.allocUnsafeSlow(Math.min(partBytes, firstBytes));
  }

  /** Copies as many of the bytes as the memory has room for, and returns their number. */
  fill(bytes: Buffer): number {
    if (this.filled === this.#memory.length) {
      const whole = Buffer.allocUnsafeSlow(this.#partBytes);
      this.#memory.copy(whole);
      this.#memory = whole;
    }
    const copied = bytes.copy(this.#memory, this.filled);
    this.filled += copied;
    return copied;
  }

  /** The bytes that have been filled in; none once the memory was taken. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.filled);
  }

  /** Returns the memory and refers to it no longer. */
  take(): Buffer {
    const memory = this.#memory;
    this.#memory = nothing;
    return memory;
  }
}

function partOf(partNumber: number, start: number, isLast: boolean, buffer: PartBuffer, lease: Lease): Part {
  return {
    partNumber,
    start,
    length: buffer.filled,
    isLast,
    get bytes() {
      return buffer.bytes;
    },
    release(isUnread) {
      const memory = buffer.take();
      lease.release(isUnread ? memory : undefined);
    },
  };
}
