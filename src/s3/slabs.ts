/** Slabs of a client's downloads, which are used again: fresh memory is half as fast. docs/decisions.md 27, 30. */

/** Keeps slabs while there is a download, no more than one has windows at a time. */
export class Slabs {
  readonly #maxSpares: number;
  #users = 0;
  #spares: ArrayBuffer[] = [];

  constructor(maxSpares: number) {
    this.#maxSpares = maxSpares;
  }

  /** Runs a download that takes slabs. */
  async using<T>(use: () => Promise<T>): Promise<T> {
    this.#users += 1;
    try {
      return await use();
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#spares = [];
    }
  }

  /** A slab of so many bytes, which hold anything. */
  take(bytes: number): ArrayBuffer {
    const index = this.#spares.findIndex(({ byteLength }) => byteLength === bytes);
    const [spare] = index < 0 ? [] : this.#spares.splice(index, 1);
    return spare ?? (Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer);
  }

  /** Gives back a slab that nobody reads or writes any more. */
  give(slab: ArrayBuffer): void {
    if (this.#users > 0 && this.#spares.length < this.#maxSpares) this.#spares.push(slab);
  }
}

const slabsOfOwners = new WeakMap<object, Slabs>();

/** The slabs that all downloads of a client share. */
export function slabsOf(owner: { readonly budget: object; readonly maxConcurrentParts: number }): Slabs {
  const slabs = slabsOfOwners.get(owner.budget) ?? new Slabs(owner.maxConcurrentParts);
  slabsOfOwners.set(owner.budget, slabs);
  return slabs;
}
