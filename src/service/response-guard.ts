/**
 * Guards the responses of S3 and KMS before the AWS SDK parses them: every stream has an error listener, every body that
 * is read into memory has a size limit, and a malformed field of no importance does not make a response unusable.
 */
import { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { tidyHeaders, tidyXml } from "./response-fields.js";

/** The maximum size of an error body in bytes, and of a success body unless a command sets another limit. */
export const maxResponseBytes = 1024 * 1024;

/** The error for a response that was rejected before it was parsed. It contains no bytes of the response. */
export class ResponseFault extends Error {
  /** The SDK retries errors with this field; `serviceFailure` reads it, too. */
  readonly $retryable: { readonly throttling: false } | undefined;
  readonly $metadata: { readonly httpStatusCode: number; readonly requestId: string | undefined };

  constructor(name: string, message: string, response: HttpResponse, isRetried: boolean) {
    super(message);
    this.name = name;
    const { statusCode, headers } = response;
    this.$metadata = { httpStatusCode: statusCode, requestId: headers["x-amz-request-id"] };
    if (isRetried) this.$retryable = { throttling: false };
  }
}

/** How the responses to one command are guarded. */
export interface GuardOptions {
  /**
   * The maximum size of a success body in bytes; {@link maxResponseBytes} by default. "stream" for a body that the caller
   * reads itself.
   */
  readonly maxBodyBytes?: number | "stream";
  /** Whether a success body is XML with dates. Dates that do not parse are removed. */
  readonly hasDates?: boolean;
  /** Called with the text of each success body; with the beginning of one that is too large. */
  readonly onText?: (text: string) => void;
  /** Whether the SDK may send the command again after a damaged response; true by default. */
  readonly isRepeatable?: boolean;
}

/** The members of the SDK's HttpResponse that are used here. */
interface HttpResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string | undefined>;
  body?: unknown;
}

type Handler = (args: never) => Promise<unknown>;
interface Guardable {
  readonly middlewareStack: { add(middleware: (next: Handler) => Handler, options: object): void };
}

/**
 * Guards the responses to a command, whichever client sends it. Call it before the command is sent.
 *
 * @returns the same command
 */
export function guarded<C extends object>(command: C, options: GuardOptions = {}): C {
  const stack = (command as unknown as Guardable).middlewareStack;
  // The response of the latest attempt. The SDK replaces its body by the stream that it wraps around the body.
  const latest: { response?: HttpResponse | undefined } = {};
  stack.add(
    (next) => async (args) => {
      latest.response = undefined;
      const result = await next(args).catch((error: unknown) => {
        throw damaged(error, options);
      });
      const { response } = Object(result) as { response?: unknown };
      if (!isHttpResponse(response)) return result;
      latest.response = response;
      expectFailure(response.body);
      tidyHeaders(response.headers);
      const { method } = (Object(args) as { request?: { method?: string } }).request ?? {};
      if (method !== "HEAD") await readBody(response, options);
      return result;
    },
    // The innermost middleware, which sees the response first.
    { step: "deserialize", priority: "low", name: "guardResponse", override: true },
  );
  stack.add(
    (next) => async (args) => {
      try {
        const result = await next(args);
        expectFailure(latest.response?.body);
        return result;
      } catch (error) {
        discard(latest.response?.body);
        throw withText(error);
      }
    },
    // Around the middleware that parses the response, and inside that of the caller.
    { step: "deserialize", priority: "high", name: "discardResponse", override: true },
  );
  return command;
}

/**
 * Adds an error listener to a body, so that its failure does not end the process if no code reads it: the body fails
 * inside the SDK when its request is aborted.
 */
export function expectFailure(body: unknown): void {
  if (body instanceof Readable && !body.listeners("error").includes(ignore)) body.on("error", ignore);
}

/** Closes a body that will not be read, and its connection. */
function discard(body: unknown): void {
  expectFailure(body);
  if (body instanceof Readable) body.destroy();
  else if (body instanceof ReadableStream && !body.locked) body.cancel().catch(ignore);
}

function ignore(): void {}

/** The SDK copies name and message of an error from the body, where they may not be strings. Such an error could not be logged. */
function withText(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  for (const name of ["name", "message"] as const) {
    if (typeof error[name] !== "string") Object.defineProperty(error, name, { ...textProperty, value: "" });
  }
  return error;
}

const textProperty = { writable: true, enumerable: false, configurable: true };

function isHttpResponse(value: unknown): value is HttpResponse {
  const { statusCode, headers } = Object(value) as Partial<HttpResponse>;
  return typeof statusCode === "number" && Object(headers) === headers;
}

/** Reads a body into memory within its limit, and lets the SDK read it from there. */
async function readBody(response: HttpResponse, options: GuardOptions): Promise<void> {
  const { statusCode, headers } = response;
  const { maxBodyBytes = maxResponseBytes, hasDates = false, onText, isRepeatable = true } = options;
  // Responses with these statuses have no body, whatever their headers state.
  if (statusCode === 204 || statusCode === 304) return;
  const isError = statusCode >= 300;
  if (!isError && maxBodyBytes === "stream") return;
  const most = isError || maxBodyBytes === "stream" ? maxResponseBytes : maxBodyBytes;
  const stated = Number(headers["content-length"] ?? Number.NaN);
  if (stated > most && (isError || !onText)) throw tooLarge(response, most);
  const isEmptyRefusal = statusCode === 400;
  const isRead = !isError && (hasDates || onText !== undefined);
  // Node's parser ends such a body after its stated length.
  const isBounded = response.body instanceof IncomingMessage && Number.isSafeInteger(stated);
  if (isBounded && !isEmptyRefusal && !isRead) return;
  const bytes = await collect(response, most, isError ? undefined : onText);
  if (bytes === undefined) return;
  if (isEmptyRefusal && bytes.length === 0)
    throw new ResponseFault(
      "DamagedResponse",
      "a response with status 400 and no body was received; a proxy or a load balancer sends it when a request was damaged",
      response,
      isRepeatable,
    );
  if (isRead) onText?.(bytes.toString());
  response.body = streamOf(isRead && hasDates ? Buffer.from(tidyXml(bytes.toString())) : bytes);
}

/** The bytes of a body; undefined for a body that is not a stream, which is in memory already. */
async function collect(
  response: HttpResponse,
  most: number,
  onText: GuardOptions["onText"],
): Promise<Buffer | undefined> {
  const { body } = response;
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (!(body instanceof Readable) && !(body instanceof ReadableStream)) return undefined;
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    pieces.push(piece);
    if (bytes <= most) continue;
    onText?.(Buffer.concat(pieces).toString());
    // The exit from the loop closes the connection.
    throw tooLarge(response, most);
  }
  return Buffer.concat(pieces, bytes);
}

/** A stream, because some middleware of the SDK ignores bodies of other types. */
function streamOf(bytes: Buffer): Readable {
  return new Readable({
    read() {
      if (bytes.length > 0) this.push(bytes);
      this.push(null);
    },
  });
}

function tooLarge(response: HttpResponse, most: number): ResponseFault {
  discard(response.body);
  const { statusCode } = response;
  return new ResponseFault(
    "ResponseTooLarge",
    `a response with status ${statusCode} and a body of more than ${most} bytes was received, and was not read`,
    response,
    false,
  );
}

/** Removes the bytes of the response from an error of Node's HTTP parser: KMS sends data keys in them. */
function damaged(error: unknown, { isRepeatable = true }: GuardOptions): unknown {
  const { code } = Object(error) as { code?: unknown };
  if (!(error instanceof Error) || typeof code !== "string" || !code.startsWith("HPE_")) return error;
  Reflect.deleteProperty(error, "rawPacket");
  const isFinal = code.endsWith("_OVERFLOW");
  if (isRepeatable && !isFinal) Object.assign(error, { $retryable: { throttling: false } });
  return error;
}
