/** Cuts input of any lengths into whole units of one size; push in, no stream. */

/** Holds back fewer bytes than one unit. */
export class Cutter {
  readonly #partial: Buffer;
  #partialBytes = 0;

  /** @param unitBytes the size of a unit */
  constructor(unitBytes: number) {
    this.#partial = Buffer.allocUnsafeSlow(unitBytes);
  }

  /** Takes more input and hands on the units that are now whole, one or more at a time; good until `use` returns. */
  cut(input: Uint8Array, use: (units: Uint8Array) => void): void {
    const unitBytes = this.#partial.length;
    let rest = input;
    if (this.#partialBytes > 0) {
      const part = rest.subarray(0, unitBytes - this.#partialBytes);
      this.#hold(part);
      rest = rest.subarray(part.length);
      if (this.#partialBytes < unitBytes) return;
      this.#partialBytes = 0;
      use(this.#partial);
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
    this.#partial.set(part, this.#partialBytes);
    this.#partialBytes += part.length;
  }
}
