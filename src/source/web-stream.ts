/** Reads web streams, whether Node or another package created them. */
import { isErrored, Readable } from "node:stream";
import { describe } from "../base/arguments.js";
import { unawaited } from "../base/iterators.js";
import type { WebStream } from "./shape.js";

/** Iterates over the pieces of a web stream, which the constructor locks. */
export class WebStreamReader implements AsyncIterator<unknown, undefined> {
  readonly isSingleUse = true;
  readonly #reader: ReturnType<WebStream["getReader"]>;
  #isDone = false;

  /** @throws TypeError when the stream cannot be read from its first byte */
  constructor(title: string, stream: WebStream) {
    refuseUnreadable(title, stream);
    this.#reader = stream.getReader();
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isDone) return { done: true, value: undefined };
    const { done, value } = await this.#reader.read();
    if (done !== true) return { done: false, value };
    this.release();
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Cancels the stream, without waiting for it. */
  close(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    // This settles a pending read, too.
    unawaited(() => this.#reader.cancel());
  }

  /** Unlocks the stream. */
  release(): void {
    this.#isDone = true;
    this.#reader.releaseLock();
  }
}

function refuseUnreadable(title: string, stream: WebStream): void {
  if (stream.locked === true)
    throw new TypeError(`${title}: expected a ReadableStream that no other code reads, got a locked one`);
  const what = unreadable(stream);
  if (what !== undefined)
    throw new TypeError(
      `${title}: expected a ReadableStream that can still be read, got ${describe(stream)} that ${what}`,
    );
}

function unreadable(stream: WebStream): string | undefined {
  if (isErrored(stream as never) || stream._state === "errored") return "has failed";
  if (Readable.isDisturbed(stream as never) || stream._disturbed === true) return "has been read";
  return undefined;
}
