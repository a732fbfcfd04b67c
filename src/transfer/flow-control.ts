/** Keeps a body from being read further than is needed for the part that may be held. */
import { Condition } from "../base/condition.js";

/**
 * Closed until it is told how much may be read. What lies between it and the parts is then never more than the
 * part being filled has room for, and a chunk.
 */
export class FlowControl {
  #plaintextBytes = 0;
  #closed = false;
  readonly #changed = new Condition();

  /** Lets through the first so many bytes. */
  openTo(plaintextBytes: number): void {
    this.#plaintextBytes = plaintextBytes;
    this.#changed.notify();
  }

  /** Ends what waits. */
  close(): void {
    this.#closed = true;
    this.#changed.notify();
  }

  /** Yields what the source yields, as far as the gate is open; takes one piece more, to know whether there is one. */
  async *read(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
    let read = 0;
    for await (const piece of source) {
      for (let rest = piece; rest.length > 0; ) {
        while (read >= this.#plaintextBytes) {
          if (this.#closed) return undefined;
          await this.#changed.wait();
        }
        const part = rest.subarray(0, this.#plaintextBytes - read);
        read += part.length;
        rest = rest.subarray(part.length);
        yield part;
      }
    }
    return undefined;
  }
}
