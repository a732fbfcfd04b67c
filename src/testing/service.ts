/** What the two in-process services have in common: requests, answers and errors. */

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
  /** What was asked for as an absolute URL, without its query. */
  readonly url: string;
  readonly query: ReadonlyMap<string, string>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** May be left before its end: the connection then stays, to take the answer. */
  readonly body: AsyncIterable<Buffer>;
}

/** One answer of a service. */
export interface ServiceResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
  /** A body too long to be held; the headers then tell its length. */
  readonly stream?: ResponseStream;
  /** What a log of requests may show of the request's body; never secrets. */
  readonly recordedInput?: Readonly<Record<string, unknown>>;
}

/** A body that is read as it is sent. */
export interface ResponseStream {
  readonly pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Called once, however the answer ends. */
  release(): void;
}

/** A service behind an HTTP server. */
export interface Service {
  readonly name: "s3" | "kms";
  /** The operation that a request asks for, as the AWS API names it. */
  operationOf(request: ServiceRequest): string;
  /** Answers, or throws a {@link ServiceError}. */
  handle(request: ServiceRequest, operation: string): Promise<ServiceResponse>;
  /** The error for a request that nobody may send. */
  forbidden(message: string): ServiceError;
  /** The answer that tells an error in the service's own format. */
  describeError(error: ServiceError, request: ServiceRequest, requestId: string): ServiceResponse;
  /** Lets go of what it holds, when no request is being handled any more. May be called again. */
  close?(): void;
}

/** A failure that the real service would answer with. */
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
