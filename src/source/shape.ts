/** Recognizes sources by their shape, because streams come from many packages, in many versions, and from other realms. */
import { types } from "node:util";

/** Members of streams with events. Each family of streams has some of them. */
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
  /** Set by busboy for a file that exceeds its limit. */
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
    readonly resumeScheduled?: unknown;
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

/** The members of a web stream that are used here. */
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

/** The members of a Blob or a File that are used here. */
export interface BlobLike {
  stream(): unknown;
  readonly size: number;
}

function has(value: unknown, ...names: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

/** Whether a value is a readable stream with events, of any package. */
export function isNodeStream(value: unknown): value is NodeStream {
  if (!has(value, "on", "removeListener", "pipe")) return false;
  return has(value, "read") || typeof (value as NodeStream).readable === "boolean";
}

/** Whether a value is a readable web stream. */
export function isWebStream(value: unknown): value is WebStream {
  return has(value, "getReader");
}

/** Whether a value is a Blob. */
export function isBlob(value: unknown): value is BlobLike {
  return has(value, "stream", "arrayBuffer") && typeof (value as Partial<BlobLike>).size === "number";
}

/**
 * A value that holds bytes, as a Uint8Array of this realm; undefined for any other value. Accepts an ArrayBuffer, because
 * `FileHandle.readableWebStream()` yields nothing else.
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (types.isArrayBuffer(value)) return new Uint8Array(value);
  if (!types.isUint8Array(value)) return undefined;
  const { buffer, byteOffset, byteLength } = value as Uint8Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}
