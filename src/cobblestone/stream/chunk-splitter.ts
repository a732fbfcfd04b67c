/** Cuts input of any lengths into whole units of one size; push in, no stream. */

/** Holds back fewer bytes than one unit. */
export class ChunkSplitter {
  readonly #unitBytes: number;
  /** As large as what it has been asked to hold, then as large as a unit. */
  #partial = Buffer.alloc(0);
  #partialBytes = 0;

  /** @param unitBytes the size of a unit */
  constructor(unitBytes: number) {
    this.#unitBytes = unitBytes;
  }

  /** Takes more input and hands on the units that are now whole, one or more at a time; good until `use` returns. */
  cut(input: Uint8Array, use: (units: Uint8Array) => void): void {
    const unitBytes = this.#unitBytes;
    if (this.#partialBytes + input.length < unitBytes) {
      this.#hold(input);
      return;
    }
    let rest = input;
    if (this.#partialBytes > 0) {
      const missing = unitBytes - this.#partialBytes;
      this.#hold(rest.subarray(0, missing));
      this.#partialBytes = 0;
      use(this.#partial);
      rest = rest.subarray(missing);
    }
    const whole = rest.length - (rest.length % unitBytes);
    if (whole > 0) use(rest.subarray(0, whole));
    this.#hold(rest.subarray(whole));
  }

  /** What has been held back: less than a unit. */
  get rest(): Buffer {
    return this.#partial.subarray(0, this.#partialBytes);
  }

  /** Overwrites what has been held back. */
  wipe(): void {
    this.#partial.fill(0);
  }

  #hold(part: Uint8Array): void {
    if (this.#partialBytes + part.length > this.#partial.length) this.#grow(part.length);
    this.#partial.set(part, this.#partialBytes);
    this.#partialBytes += part.length;
  }
  /** A short message needs no room for a whole unit. */
  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(this.#partial.length === 0 ? bytes : this.#unitBytes);
    grown.set(this.rest);
    this.wipe();
    this.#partial = grown;
  }
}
