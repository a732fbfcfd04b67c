/**
 * The body of a GetObject that may give up its connection while nobody reads it. What is left of it is requested again when
 * somebody does.
 */
import { IncomingMessage } from "node:http";
import { finished, Readable } from "node:stream";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { closeSource, guardSource, type SourceGuard } from "../../source/guarded-source.js";
import { otherRange, type RequestTarget } from "../errors.js";
import type { AttemptObserver, AttemptResponse } from "../requests.js";
import { isSameETag, type ResponseBytes, sentRange } from "../responses.js";
import { piecesOf } from "./coalesced-reads.js";
import type { Connections, OpenBody } from "./connections.js";

/** Bytes that arrive by one connection. */
export interface BodyConnection {
  /** The stream of the response. */
  readonly stream: unknown;
  /** Reads it. Called once. */
  open(): AsyncIterator<Uint8Array>;
  /** Ends the request, read or not. */
  close(): void;
}

/** The response to a GetObject, as far as its body can be resumed by it. */
export interface BodyResponse {
  readonly output: GetObjectCommandOutput;
  /** The stream of the response, which has the connection if it is Node's own. */
  readonly stream: unknown;
  /** The bytes of the body as they arrive: neither counted nor resumed. Called once. */
  open(guard: SourceGuard): AsyncIterator<Uint8Array>;
  /** Ends the request: the streams of the SDK around the connection do not matter, aborting closes it. */
  close(): void;
}

/** Requests the object of a response again, and no other that has taken its place. */
export type Refetch = (ETag: string, Range: string | undefined, signal: AbortSignal) => Promise<BodyResponse>;

/** Requests what follows the given number of bytes of a body. Undefined when nothing follows. */
type RequestRest = (bytesBefore: number) => Promise<BodyResponse | undefined>;

/** Iterates over the bytes. While it has a connection that it can give up, the connections of its client know it. */
class ResumableBody implements OpenBody, AsyncIterableIterator<Uint8Array, undefined> {
  readonly #connections: Connections;
  #resume: ((bytesBefore: number) => Promise<BodyConnection | undefined>) | undefined;
  /** Undefined while it is given up. */
  #connection: BodyConnection | undefined;
  #pieces: AsyncIterator<Uint8Array> | undefined;
  /** Bytes that had arrived when the connection was given up, and that have not been yielded. */
  #arrived: Uint8Array | null = null;
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
   * @param resume makes a connection for what follows the given number of bytes; undefined when nothing does
   */
  allowRelease(resume: (bytesBefore: number) => Promise<BodyConnection | undefined>): void {
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
    this.#arrived = null;
    if (this.#pieces) await this.#pieces.return?.();
    else this.#connection?.close();
    return { done: true, value: undefined };
  }

  release(): boolean {
    this.detach();
    const connection = this.#connection;
    if (!connection) return false;
    if (hasArrived(connection.stream)) {
      // Node has all of it in memory: once it is out of the stream, the connection can be used again.
      const isListenedTo = connection.stream.listenerCount("data") > 0;
      const arrived: Uint8Array | null = connection.stream.read();
      if (!isListenedTo) this.#arrived = arrived;
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
    const arrived = this.#arrived;
    this.#arrived = null;
    if (arrived) return arrived;
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

/** Whether a response has arrived whole, and waits to be read. */
function hasArrived(stream: unknown): stream is IncomingMessage {
  return stream instanceof IncomingMessage && stream.complete && !stream.destroyed;
}

/** A body with a checksum and at most this many bytes is read into memory when its connection is wanted. */
const smallBytes = 64 * 1024;

/** Observes the attempts of a GetObject, and makes the body of the last one resumable. */
export class BodyObserver implements AttemptObserver {
  readonly #connections: Connections;
  /** The body as it came from the handler. */
  #stream: unknown;
  /** Beneath the stream in which the SDK verifies a checksum, or in place of the body itself. */
  #resumable: ResumableBody | undefined;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  readonly onResponse = (response: AttemptResponse): void => {
    const { body } = response;
    this.#stream = body;
    this.#resumable = undefined;
    if (!(body instanceof Readable) || !hasChecksum(response)) return;
    // The SDK compares the checksum of what it reads: it has to read all of the body.
    if (Number(response.headers?.["content-length"]) <= smallBytes) {
      readWhenWanted(this.#connections, body);
      return;
    }
    // It may fail after it was given up; without a listener that would end the process.
    body.on("error", () => undefined);
    this.#resumable = this.#resumableOf(body, () => piecesOf(body)[Symbol.asyncIterator]());
    response.body = Readable.from(this.#resumable, { objectMode: false });
  };

  /**
   * From now on the body may give up its connection.
   *
   * @param Body the body as the SDK returns it
   * @param guard makes the limits of reading, for each connection anew
   * @returns what to read in place of `Body`, under the guard; undefined when `Body` is to be read itself
   */
  allowRelease(
    Body: unknown,
    requestRest: RequestRest,
    guard: () => SourceGuard,
  ): AsyncIterable<Uint8Array> | undefined {
    // A body that a middleware of the caller's has replaced cannot be resumed by its position.
    const isOwn = !this.#resumable && Body !== undefined && Body === this.#stream;
    if (isOwn) this.#resumable = this.#resumableOf(Body, () => guardSource(piecesOf(Body), guard()));
    this.#resumable?.allowRelease(async (bytesBefore) => {
      const response = await requestRest(bytesBefore);
      return (
        response && { stream: response.stream, open: () => response.open(guard()), close: response.close }
      );
    });
    return isOwn ? this.#resumable : undefined;
  }

  /** From now on the body keeps its connection, or has none. */
  readonly detach = (): void => this.#resumable?.detach();

  #resumableOf(stream: unknown, open: () => AsyncIterator<Uint8Array>): ResumableBody {
    return new ResumableBody(this.#connections, { stream, open, close: () => closeSource(stream) });
  }
}

/** Whether a response has the object, with a checksum that the SDK may compare. */
function hasChecksum({ statusCode = 0, headers = {} }: AttemptResponse): boolean {
  const isSuccess = statusCode === 200 || statusCode === 206;
  return isSuccess && Object.keys(headers).some((name) => /^x-amz-checksum-/i.test(name));
}

function readWhenWanted(connections: Connections, stream: Readable): void {
  // The SDK pauses it after each piece, so each look at the connections reads one.
  const release = () => {
    if (stream.listenerCount("data") > 0) stream.resume();
    return false;
  };
  const body = { stream, idleSince: performance.now(), release };
  connections.add(body);
  finished(stream, () => connections.delete(body));
}

/** Makes the request for the rest of the body of a response. Undefined when the response does not say enough of it. */
export function restRequest(
  { output: { ETag }, body }: ResponseBytes,
  target: RequestTarget,
  signal: AbortSignal,
  refetch: Refetch,
): RequestRest | undefined {
  if (!ETag || !body) return undefined;
  // Counted from the start of the body, which may have more than was requested.
  const { first, last, total } = body;
  return async (bytesBefore) => {
    const start = first + bytesBefore;
    if (start > last) return undefined;
    const Range = start === 0 && last === total - 1 ? undefined : `bytes=${start}-${last}`;
    const response = await refetch(ETag, Range, signal);
    const { output } = response;
    const isSame = output.ETag !== undefined && isSameETag(output.ETag, ETag);
    const sent = sentRange(output);
    if (isSame && sent?.first === start && sent.last === last && sent.total === total) return response;
    response.close();
    throw otherRange(target);
  };
}
