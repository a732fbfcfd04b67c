/** Tells what a source is by its shape: streams come from many packages, in many versions, and from other realms. */
import { types } from "node:util";

/** What streams say of themselves. Each family of streams has some of these. */
export interface NodeStream {
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  removeListener(event: string, listener: (...values: unknown[]) => void): unknown;
  pipe(destination: never): unknown;
  read?(): unknown;
  pause?(): unknown;
  resume?(): unknown;
  listenerCount?(event: string): number;
  readonly readable?: unknown;
  readonly writable?: unknown;
  readonly allowHalfOpen?: unknown;
  readonly destroyed?: unknown;
  readonly errored?: unknown;
  readonly readableEnded?: unknown;
  readonly readableEncoding?: unknown;
  /** IncomingMessage of http; streams and requests of http2. */
  readonly aborted?: unknown;
  readonly complete?: unknown;
  readonly httpVersion?: unknown;
  readonly statusCode?: unknown;
  readonly socket?: unknown;
  readonly rstCode?: unknown;
  readonly stream?: unknown;
  /** A file of busboy that was longer than its limit. */
  readonly truncated?: unknown;
  /** minipass. */
  readonly emittedEnd?: unknown;
  readonly flowing?: unknown;
  readonly encoding?: unknown;
  /** streamx. */
  readonly destroying?: unknown;
  readonly _duplexState?: unknown;
  readonly _readableState?: {
    readonly endEmitted?: unknown;
    readonly destroyed?: unknown;
    readonly errored?: unknown;
    readonly flowing?: unknown;
    readonly encoding?: unknown;
    readonly decoder?: unknown;
    readonly pipes?: unknown;
    readonly autoDestroy?: unknown;
    readonly emitClose?: unknown;
    readonly closed?: unknown;
    readonly closeEmitted?: unknown;
    /** streamx. */
    readonly ended?: unknown;
    readonly error?: unknown;
    readonly map?: unknown;
    readonly pipeTo?: unknown;
  };
}

/** What is used of a web stream. */
export interface WebStream {
  getReader(): {
    read(): Promise<{ readonly done?: unknown; readonly value?: unknown }>;
    cancel(): Promise<unknown>;
    releaseLock(): void;
  };
  readonly locked?: unknown;
  readonly _disturbed?: unknown;
  readonly _state?: unknown;
}

/** What is used of a Blob or a File. */
export interface BlobLike {
  stream(): unknown;
  readonly size: number;
}

function has(value: unknown, ...names: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

/** Whether a value is a stream with events that can be read, of whatever package. */
export function isNodeStream(value: unknown): value is NodeStream {
  if (!has(value, "on", "removeListener", "pipe")) return false;
  return has(value, "read") || typeof (value as NodeStream).readable === "boolean";
}

/** Whether a value is a web stream that can be read. */
export function isWebStream(value: unknown): value is WebStream {
  return has(value, "getReader");
}

/** Whether a value is a Blob. */
export function isBlob(value: unknown): value is BlobLike {
  return has(value, "stream", "arrayBuffer") && typeof (value as Partial<BlobLike>).size === "number";
}

/** The bytes that a value is, as a Uint8Array of this realm; undefined when it is something else. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (!types.isUint8Array(value)) return undefined;
  const { buffer, byteOffset, byteLength } = value as Uint8Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}
