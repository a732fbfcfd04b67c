/** The common types of the two in-process services: requests, responses and errors. */

/** The credentials that an in-process service accepts. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** One request as a service sees it. */
export interface ServiceRequest {
  readonly method: string;
  /** The path as it was sent, still encoded. */
  readonly path: string;
  /** The request as an absolute URL, without its query. */
  readonly url: string;
  readonly query: ReadonlyMap<string, string>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Reading may stop before its end: the connection then stays open for the response. */
  readonly body: AsyncIterable<Buffer>;
}

/** One response of a service. */
export interface ServiceResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
  /** A body that is streamed; the headers then have its length. */
  readonly stream?: ResponseStream;
  /** What the request log may show of the request's body; never secrets. */
  readonly recordedInput?: Readonly<Record<string, unknown>>;
}

/** A body that is read while it is sent. */
export interface ResponseStream {
  readonly pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Called once, however the response ends. */
  release(): void;
}

/** A service behind an HTTP server. */
export interface Service {
  readonly name: "s3" | "kms";
  /** The operation that a request asks for, by its AWS API name. */
  operationOf(request: ServiceRequest): string;
  /** Handles a request, or throws a {@link ServiceError}. */
  handle(request: ServiceRequest, operation: string): Promise<ServiceResponse>;
  /** The error for a forbidden request. */
  forbidden(message: string): ServiceError;
  /** The response for an error in the service's own format. */
  describeError(error: ServiceError, request: ServiceRequest, requestId: string): ServiceResponse;
  /** Releases its resources after the last request. May be called again. */
  close?(): void;
}

/** An error that the real service would return. */
export class ServiceError extends Error {
  readonly code: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message = code, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.headers = headers;
  }
}

/** Reads a small request body whole. */
export async function readSmallBody(source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of source) {
    length += piece.length;
    if (length > maxBytes) throw new ServiceError(400, "EntityTooLarge", `more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
