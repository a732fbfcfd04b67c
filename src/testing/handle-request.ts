/**
 * Handles one HTTP request to a service: reads and records it, applies its scripted fault, writes the
 * response.
 */
import { randomUUID } from "node:crypto";
import type { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Fault, FaultScript } from "./faults.js";
import { foreignTo } from "./local-requests.js";
import { type Exchange, parseRequest } from "./parse-request.js";
import type { RequestLog } from "./request-log.js";
import { type Service, ServiceError, type ServiceRequest, type ServiceResponse } from "./service.js";

/** The service behind a server, with its faults and its log. */
export interface Host {
  readonly service: Service;
  readonly faults: FaultScript;
  readonly log: RequestLog;
  /** Aborted when the server closes: from then on no request starts to take effect. */
  readonly ending: AbortSignal;
}

/** Handles a request. Settles when the response has been written or its connection is closed. */
export async function handleRequest(
  { service, faults, log, ending }: Host,
  exchange: Exchange,
): Promise<void> {
  const { incoming, outgoing } = exchange;
  const request = parseRequest(exchange);
  const operation = service.operationOf(request);
  const record = log.open(service.name, operation, request);
  const foreign = foreignTo(request);
  // A foreign request must not use up a fault that a test has scripted.
  const scripted = foreign === undefined ? faults.next(service.name, operation) : undefined;
  const { fault, hold } = scripted ?? {};
  const requestId = randomUUID();
  await hold?.keep("before", record, ending);
  if (fault?.delayMs) await delay(fault.delayMs, undefined, { signal: ending });
  if (fault?.reset === "before") {
    outgoing.destroy();
    return;
  }
  const response =
    foreign === undefined
      ? await respond(service, request, operation, fault, requestId)
      : service.describeError(service.forbidden(foreign), request, requestId);
  try {
    if (response.recordedInput) record.input = response.recordedInput;
    await hold?.keep("after", record, ending);
    if (fault?.reset === "after" || (incoming.destroyed && !incoming.complete)) {
      outgoing.destroy();
      return;
    }
    record.status = response.status;
    await finishReading(exchange);
    const { method } = request;
    const at = hold?.bodyBytes;
    const pause = at === undefined ? undefined : { at, wait: async () => hold?.keep("body", record, ending) };
    try {
      await write(exchange, response, { method, requestId, fault, pause });
    } catch (error) {
      if (outgoing.headersSent) throw error;
      const unsent = service.describeError(internalError(error), request, requestId);
      record.status = unsent.status;
      await write(exchange, unsent, { method, requestId, fault: undefined, pause: undefined });
    }
  } finally {
    response.stream?.release();
  }
}

async function respond(
  service: Service,
  request: ServiceRequest,
  operation: string,
  fault: Fault | undefined,
  requestId: string,
): Promise<ServiceResponse> {
  try {
    if (fault?.status === undefined) return await service.handle(request, operation);
    if (fault.handled) (await service.handle(request, operation)).stream?.release();
    const { status, code = "InternalError", message = "a scripted fault", body } = fault;
    if (body === undefined) throw new ServiceError(status, code, message);
    return { status, headers: { "content-type": "text/html" }, body: [Buffer.from(body)] };
  } catch (error) {
    const known = error instanceof ServiceError ? error : internalError(error);
    return service.describeError(known, request, requestId);
  }
}

function internalError(cause: unknown): ServiceError {
  return new ServiceError(500, "InternalError", String(cause));
}

/**
 * Reads the rest of a request that nobody wants: a response that overtook it would look like a broken
 * connection. A client that waits for "100 Continue" may or may not send its body after another response, so
 * the connection ends with that response.
 */
async function finishReading({ incoming, outgoing, awaitsContinue }: Exchange): Promise<void> {
  if (incoming.complete || incoming.destroyed) return;
  if (awaitsContinue) {
    outgoing.setHeader("connection", "close");
    return;
  }
  incoming.resume();
  await firstEvent(incoming, ["end", "close"], incoming);
}

/** How a response is written. */
interface Sending {
  readonly method: string;
  readonly requestId: string;
  readonly fault: Fault | undefined;
  /** Called, and waited for, after `at` bytes of the body. */
  readonly pause: { readonly at: number; wait(): Promise<void> } | undefined;
}

async function write(exchange: Exchange, response: ServiceResponse, sending: Sending): Promise<void> {
  const { outgoing } = exchange;
  const { method, requestId, fault, pause } = sending;
  const held = method === "HEAD" ? [] : (response.body ?? []);
  const length = held.reduce((sum, piece) => sum + piece.length, 0);
  const withLength = method === "HEAD" || response.status === 204 || response.status === 304;
  const ids = { "x-amz-request-id": requestId, "x-amzn-requestid": requestId };
  outgoing.writeHead(response.status, {
    ...(fault?.body === undefined && ids),
    ...(withLength ? {} : { "content-length": String(length) }),
    ...response.headers,
  });
  const limit = fault?.truncateBodyBytes ?? fault?.stallBodyBytes ?? Number.POSITIVE_INFINITY;
  const paused = async () => {
    outgoing.flushHeaders();
    await pause?.wait();
  };
  let sent = 0;
  for await (const piece of response.stream?.pieces ?? held) {
    const allowed = corrupted(piece, sent, fault).subarray(0, Math.max(0, limit - sent));
    const before = pause ? Math.min(allowed.length, Math.max(0, pause.at - sent)) : allowed.length;
    sent += allowed.length;
    await writePiece(exchange, allowed.subarray(0, before));
    if (before < allowed.length) await paused();
    await writePiece(exchange, allowed.subarray(before));
    if (isOver(exchange)) return;
    if (sent >= limit) break;
  }
  if (pause) await paused();
  if (fault?.stallBodyBytes !== undefined) {
    outgoing.flushHeaders();
    return;
  }
  if (fault?.truncateBodyBytes !== undefined) {
    await flushed(outgoing);
    outgoing.destroy();
    return;
  }
  outgoing.end();
}

async function writePiece(exchange: Exchange, bytes: Uint8Array): Promise<void> {
  const { incoming, outgoing } = exchange;
  if (bytes.length === 0 || isOver(exchange) || outgoing.write(bytes)) return;
  await firstEvent(outgoing, ["drain", "close"], incoming);
}

/** Also checks the socket: a response that waits behind another is not closed with its connection. */
function isOver({ incoming, outgoing }: Exchange): boolean {
  return outgoing.destroyed || incoming.socket.destroyed;
}

function corrupted(piece: Uint8Array, start: number, fault: Fault | undefined): Uint8Array {
  const offset = (fault?.corrupt?.offset ?? -1) - start;
  if (!fault?.corrupt || offset < 0 || offset >= piece.length) return piece;
  const copy = Uint8Array.from(piece);
  copy[offset] = (copy[offset] ?? 0) ^ fault.corrupt.xor;
  return copy;
}

/** Waits until the operating system has accepted the bytes, or the connection is closed. */
function flushed(outgoing: ServerResponse): Promise<void> {
  outgoing.flushHeaders();
  const { socket } = outgoing;
  return new Promise((resolve) => {
    if (socket) socket.write("", () => resolve());
    else resolve();
  });
}

/**
 * Waits for the first of some events, or for the end of the request's connection: Node.js reports that end
 * neither to a response that waits behind another nor to a request that has been read.
 */
function firstEvent(
  emitter: EventEmitter,
  events: readonly string[],
  { socket }: IncomingMessage,
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) emitter.off(event, done);
      socket.off("close", done);
      resolve();
    };
    for (const event of events) emitter.on(event, done);
    socket.on("close", done);
    if (socket.destroyed) done();
  });
}
