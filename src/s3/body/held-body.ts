/** The bytes of a GetObject, which go on by another request when its connection was given up meanwhile. */
import { IncomingMessage } from "node:http";
import type { Connections, OpenBody } from "./connections.js";

/** Bytes that come by one connection. */
export interface BodyConnection {
  /** The stream of the response. */
  readonly stream: unknown;
  /** Reads it. Called once. */
  open(): AsyncIterator<Uint8Array>;
  /** Ends the request, read or not. */
  close(): void;
}

/** Iterates over the bytes. While it has a connection that can be given up, the connections of its client know it. */
export class HeldBody implements OpenBody, AsyncIterableIterator<Uint8Array, undefined> {
  readonly #connections: Connections;
  #resume: ((bytesBefore: number) => Promise<BodyConnection | undefined>) | undefined;
  /** None while it is given up. */
  #connection: BodyConnection | undefined;
  #pieces: AsyncIterator<Uint8Array> | undefined;
  /** Bytes that had come when the connection was given up, and have not been handed out. */
  #rest: Uint8Array | null = null;
  #bytesRead = 0;
  #ended = false;
  #idleSince: number | undefined = performance.now();

  constructor(connections: Connections, connection: BodyConnection) {
    this.#connections = connections;
    this.#connection = connection;
  }

  /**
   * From now on it may give up its connection.
   *
   * @param resume makes one for what follows so many bytes; undefined when nothing does
   */
  letResume(resume: (bytesBefore: number) => Promise<BodyConnection | undefined>): void {
    this.#resume = resume;
    this.#connections.add(this);
  }

  /** From now on it keeps its connection, or has none. */
  readonly detach = (): void => {
    this.#connections.delete(this);
  };

  get idleSince(): number | undefined {
    return this.#idleSince;
  }

  get stream(): unknown {
    return this.#connection?.stream;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#idleSince = undefined;
    try {
      const piece = await this.#next();
      if (piece) {
        this.#bytesRead += piece.length;
        this.#connections.moved();
        return { done: false, value: piece };
      }
      this.detach();
      return { done: true, value: undefined };
    } catch (error) {
      this.detach();
      throw error;
    } finally {
      this.#idleSince = performance.now();
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.detach();
    this.#ended = true;
    this.#rest = null;
    if (this.#pieces) await this.#pieces.return?.();
    else this.#connection?.close();
    return { done: true, value: undefined };
  }

  release(): boolean {
    this.detach();
    const connection = this.#connection;
    if (!connection) return false;
    if (isAllThere(connection.stream)) {
      // Node has all of it in memory: once it is out of the stream, the connection is free to be used again.
      const isListenedTo = connection.stream.listenerCount("data") > 0;
      const rest: Uint8Array | null = connection.stream.read();
      if (!isListenedTo) this.#rest = rest;
      return true;
    }
    const pieces = this.#pieces;
    this.#connection = undefined;
    this.#pieces = undefined;
    connection.close();
    pieces?.return?.().catch(() => undefined);
    return true;
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (this.#ended) return undefined;
    const rest = this.#rest;
    this.#rest = null;
    if (rest) return rest;
    if (!this.#connection) {
      this.#connection = await this.#resume?.(this.#bytesRead);
      if (!this.#connection || this.#ended) {
        this.#connection?.close();
        return undefined;
      }
      this.#connections.add(this);
    }
    this.#pieces ??= this.#connection.open();
    const { done, value } = await this.#pieces.next();
    return done ? undefined : value;
  }
}

/** Whether a response has come to its end, and waits to be read. */
function isAllThere(stream: unknown): stream is IncomingMessage {
  return stream instanceof IncomingMessage && stream.complete && !stream.destroyed;
}
