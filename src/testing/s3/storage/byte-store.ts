/** The bytes of objects and parts of the in-process S3: in memory, in files, or discarded. */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { s3Fault } from "../wire/s3-fault.js";

/** A UUID. */
const fileName = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The bytes of an object that was put whole, or of one part. */
export interface Extent {
  readonly size: number;
  /** In memory only. */
  readonly pieces?: readonly Buffer[];
  /** The name of the file, in a directory only. */
  readonly file?: string;
}

/** Takes bytes as they arrive. */
export interface ByteSink {
  write(piece: Buffer): Promise<void> | void;
  /** All bytes have come. */
  finish(): Promise<Extent>;
  /** Discards the bytes. */
  discard(): Promise<void>;
}

/** Bytes that are being read. */
export interface OpenBytes {
  readonly pieces: AsyncIterable<Buffer> | Iterable<Buffer>;
  /** Call it once, when they have been sent or are not needed. */
  release(): void;
}

/** Stores bytes. */
export interface ByteStore {
  begin(): Promise<ByteSink>;
  /** The bytes from `start` (included) to `end` (excluded) of concatenated extents. */
  open(extents: readonly Extent[], start: number, end: number): OpenBytes;
  remove(extents: readonly Extent[]): void;
}

/** Stores bytes in memory. */
export const memoryBytes: ByteStore = {
  async begin() {
    const pieces: Buffer[] = [];
    let size = 0;
    return {
      write(piece) {
        pieces.push(piece);
        size += piece.length;
      },
      finish: async () => ({ size, pieces }),
      discard: async () => undefined,
    };
  },
  open(extents, start, end) {
    const pieces = extents.flatMap((extent) => extent.pieces ?? []);
    const slices = cut(pieces, start, end, (piece) => piece.length);
    return {
      pieces: slices.map(({ item, from, to }) => item.subarray(from, to)),
      release: () => undefined,
    };
  },
  remove: () => undefined,
};

/** Counts bytes and discards them. */
export const discardedBytes: ByteStore = {
  async begin() {
    let size = 0;
    return {
      write(piece) {
        size += piece.length;
      },
      finish: async () => ({ size }),
      discard: async () => undefined,
    };
  },
  open() {
    throw s3Fault("NotImplemented", "bodies that options.discardBodies has discarded");
  },
  remove: () => undefined,
};

/** Stores bytes in files of one directory. A file that is being read is removed after the read. */
export class FileBytes implements ByteStore {
  readonly #directory: string;
  readonly #readers = new Map<string, number>();
  readonly #doomed = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  async begin(): Promise<ByteSink> {
    const file = randomUUID();
    const handle = await open(this.#path(file), "wx", 0o600);
    let size = 0;
    return {
      async write(piece) {
        size += piece.length;
        for (let left = piece; left.length > 0; ) {
          const { bytesWritten } = await handle.write(left);
          left = left.subarray(bytesWritten);
        }
      },
      finish: async () => {
        await handle.close();
        return { size, file };
      },
      discard: async () => {
        await handle.close();
        await rm(this.#path(file), { force: true });
      },
    };
  }

  open(extents: readonly Extent[], start: number, end: number): OpenBytes {
    const parts = cut(extents, start, end, ({ size }) => size).map(({ item, from, to }) => ({
      file: item.file ?? "",
      from,
      to,
    }));
    for (const { file } of parts) this.#readers.set(file, (this.#readers.get(file) ?? 0) + 1);
    return {
      pieces: this.#read(parts),
      release: () => {
        for (const { file } of parts) this.#release(file);
      },
    };
  }

  remove(extents: readonly Extent[]): void {
    for (const { file = "" } of extents) {
      if (this.#readers.has(file)) this.#doomed.add(file);
      else rmSync(this.#path(file), { force: true });
    }
  }

  /** Removes files that no record names: those of interrupted writes. */
  removeOthers(known: ReadonlySet<string>): void {
    for (const file of readdirSync(this.#directory)) {
      if (fileName.test(file) && !known.has(file)) rmSync(this.#path(file), { force: true });
    }
  }

  async *#read(parts: readonly { file: string; from: number; to: number }[]): AsyncGenerator<Buffer> {
    for (const { file, from, to } of parts) {
      const handle = await open(this.#path(file), "r");
      try {
        yield* handle.createReadStream({
          start: from,
          end: to - 1,
          highWaterMark: 256 * 1024,
          autoClose: false,
        });
      } finally {
        await handle.close();
      }
    }
  }

  #release(file: string): void {
    const left = (this.#readers.get(file) ?? 0) - 1;
    if (left > 0) {
      this.#readers.set(file, left);
      return;
    }
    this.#readers.delete(file);
    if (this.#doomed.delete(file)) rmSync(this.#path(file), { force: true });
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

/** The items that contain the positions from `start` to `end`, and the range of each. */
function cut<T>(items: readonly T[], start: number, end: number, sizeOf: (item: T) => number) {
  const slices: { item: T; from: number; to: number }[] = [];
  let offset = 0;
  for (const item of items) {
    const size = sizeOf(item);
    const [from, to] = [Math.max(0, start - offset), Math.min(size, end - offset)];
    if (from < to) slices.push({ item, from, to });
    offset += size;
    if (offset >= end) break;
  }
  return slices;
}
