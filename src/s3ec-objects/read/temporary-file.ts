/** A file without a name, for objects that are too large to be held in memory until they have been verified. */
import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { noFollow, withFileError } from "../../base/files.js";
import { PieceFingerprints } from "../../s3ec/content/fingerprint.js";

const { O_CREAT, O_EXCL, O_RDWR } = constants;
const pieceBytes = 1024 * 1024;

/**
 * A file that is deleted when it is closed. The hash of each piece stays in memory, so that no changed bytes are read back.
 * Every method throws EnvelopeError `FILE_FAILED`.
 */
export class TemporaryFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #hashes = new PieceFingerprints(pieceBytes);
  #bytes = 0;
  #hasName = true;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** Creates a file that only this user can open or, where an open file can lose its name, only this process. */
  static async open(directory: string): Promise<TemporaryFile> {
    const path = join(directory, `.s3e-${crypto.randomUUID()}.tmp`);
    return withFileError(path, "be written", async () => {
      const handle = await open(path, O_RDWR | O_CREAT | O_EXCL | noFollow, 0o600);
      const file = new TemporaryFile(path, handle);
      await file.#removeName().catch(() => undefined);
      return file;
    });
  }

  /** Yields the pieces of the source, each once it has been written. */
  async *write(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
    for await (const piece of source) {
      await this.#append(piece);
      yield piece;
    }
    return undefined;
  }

  /** Yields all written bytes, from the start. */
  async *read(): AsyncGenerator<Uint8Array, undefined> {
    for (let start = 0; start < this.#bytes; start += pieceBytes) {
      const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, this.#bytes - start));
      await this.#fill(piece, start);
      yield piece;
    }
    return undefined;
  }

  /** Closes and deletes the file. Never throws, since it also cleans up after failures. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    if (this.#hasName) await this.#removeName().catch(() => undefined);
  }

  async #append(piece: Uint8Array): Promise<void> {
    this.#hashes.add(piece);
    await withFileError(this.#path, "be written", async () => {
      for (let done = 0; done < piece.length; ) {
        const { bytesWritten } = await this.#handle.write(piece, done, piece.length - done, this.#bytes);
        done += bytesWritten;
        this.#bytes += bytesWritten;
      }
    });
  }

  async #fill(piece: Buffer, start: number): Promise<void> {
    await withFileError(this.#path, "be read", async () => {
      for (let done = 0; done < piece.length; ) {
        const { bytesRead } = await this.#handle.read(piece, done, piece.length - done, start + done);
        if (bytesRead === 0) throw new Error("it has become shorter");
        done += bytesRead;
      }
      if (!this.#hashes.isPiece(start / pieceBytes, piece)) throw new Error("it has been changed");
    });
  }

  async #removeName(): Promise<void> {
    await rm(this.#path);
    this.#hasName = false;
  }
}
