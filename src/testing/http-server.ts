/** An HTTP or HTTPS server on loopback around one service: it records requests and plays scripted faults. */
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Fault, FaultScript } from "./faults.js";
import { type Service, ServiceError, type ServiceRequest, type ServiceResponse } from "./service.js";

/** One request that a service has seen, without secrets. */
export interface RecordedRequest {
  readonly service: "s3" | "kms";
  /** The operation as the AWS API names it. */
  readonly operation: string;
  readonly method: string;
  /** The path as it was sent, still encoded. */
  readonly path: string;
  /** Without the signature, the session token and keys. */
  readonly query: Readonly<Record<string, string>>;
  /** Without the authorization, the session token and keys. */
  readonly headers: Readonly<Record<string, string>>;
  /** The JSON input of a KMS operation, without plaintext. */
  readonly input?: Readonly<Record<string, unknown>>;
  /** The status that was answered; 0 while there is none, and when the connection broke before. */
  readonly status: number;
}

type OpenRecord = { -readonly [Field in keyof RecordedRequest]: RecordedRequest[Field] };

/** Where requests are recorded; the oldest go when there are too many. */
export class RequestLog {
  #records: OpenRecord[] = [];
  static readonly capacity = 10_000;

  get records(): readonly RecordedRequest[] {
    return this.#records;
  }

  clear(): void {
    this.#records = [];
  }

  open(service: "s3" | "kms", operation: string, request: ServiceRequest): OpenRecord {
    const { method, path } = request;
    const headers = withoutSecrets(Object.entries(request.headers));
    const query = withoutSecrets([...request.query]);
    const record: OpenRecord = { service, operation, method, path, query, headers, status: 0 };
    this.#records.push(record);
    if (this.#records.length > RequestLog.capacity) this.#records.shift();
    return record;
  }
}

const secretNames = /^(authorization|x-amz-security-token|x-amz-signature|x-amz-.*customer-key)$/i;

function withoutSecrets(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries(pairs.filter(([name]) => !secretNames.test(name)));
}

/** A running server. */
export interface RunningServer {
  /** Such as "http://127.0.0.1:40123", or "https:" with TLS. */
  readonly endpoint: string;
  /** Connections that are open now. */
  connections(): Promise<number>;
  /** Breaks all connections, stops listening, waits until no request is being handled any more; then the service is closed. */
  close(): Promise<void>;
}

/** The key of a server and its certificate, in PEM. */
export interface ServerIdentity {
  readonly key: string;
  readonly cert: string;
}

/**
 * Starts a server for a service on a port of 127.0.0.1, a free one when it is 0. The service is closed with it.
 *
 * @param tls speaks HTTPS when it is given; throws when it is of no use
 */
export async function startServer(
  service: Service,
  faults: FaultScript,
  log: RequestLog,
  port: number,
  tls: ServerIdentity | undefined,
): Promise<RunningServer> {
  const running = new Set<Promise<void>>();
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    outgoing.on("error", () => undefined);
    incoming.on("error", () => undefined);
    const answered = answer({ service, faults, log, ending: ending.signal }, incoming, outgoing)
      .catch(() => void outgoing.destroy())
      .finally(() => running.delete(answered));
    running.add(answered);
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  }).catch((error: unknown) => {
    service.close?.();
    throw error;
  });
  const address = server.address() as AddressInfo;
  return {
    endpoint: `${tls ? "https" : "http"}://127.0.0.1:${address.port}`,
    connections: () => countConnections(server),
    async close() {
      ending.abort();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await Promise.all(running);
      service.close?.();
    },
  };
}

/** What a server works with. */
interface Host {
  readonly service: Service;
  readonly faults: FaultScript;
  readonly log: RequestLog;
  /** Aborted when the server closes: no request may take effect any more that has not begun to. */
  readonly ending: AbortSignal;
}

async function answer(
  { service, faults, log, ending }: Host,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const request = parseRequest(incoming);
  const operation = service.operationOf(request);
  const record = log.open(service.name, operation, request);
  const fault = faults.next(service.name, operation);
  const requestId = randomUUID();
  if (fault?.delayMs) await delay(fault.delayMs, undefined, { signal: ending });
  if (fault?.reset === "before") {
    outgoing.destroy();
    return;
  }
  const response = await respond(service, request, operation, fault, requestId);
  try {
    if (response.recordedInput) record.input = response.recordedInput;
    if (fault?.reset === "after" || (incoming.destroyed && !incoming.complete)) {
      outgoing.destroy();
      return;
    }
    record.status = response.status;
    await finishReading(incoming);
    try {
      await write(outgoing, request.method, response, fault, requestId);
    } catch (error) {
      if (outgoing.headersSent) throw error;
      const unsent = service.describeError(internalError(error), request, requestId);
      record.status = unsent.status;
      await write(outgoing, request.method, unsent, undefined, requestId);
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

/** An answer must not overtake the rest of a request that nobody wants, or the client sees a broken connection. */
async function finishReading(incoming: IncomingMessage): Promise<void> {
  if (incoming.complete || incoming.destroyed) return;
  incoming.resume();
  await new Promise<void>((resolve) => {
    incoming.once("end", resolve).once("close", resolve);
  });
}

async function write(
  outgoing: ServerResponse,
  method: string,
  response: ServiceResponse,
  fault: Fault | undefined,
  requestId: string,
): Promise<void> {
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
  let sent = 0;
  for await (const piece of response.stream?.pieces ?? held) {
    const allowed = corrupted(piece, sent, fault).subarray(0, Math.max(0, limit - sent));
    sent += allowed.length;
    if (outgoing.destroyed) return;
    if (allowed.length > 0 && !outgoing.write(allowed)) await drained(outgoing);
    if (sent >= limit) break;
  }
  if (fault?.stallBodyBytes !== undefined) {
    outgoing.flushHeaders();
    return;
  }
  if (fault?.truncateBodyBytes !== undefined) {
    outgoing.flushHeaders();
    await delay(10);
    outgoing.destroy();
    return;
  }
  outgoing.end();
}

function corrupted(piece: Uint8Array, start: number, fault: Fault | undefined): Uint8Array {
  const offset = (fault?.corrupt?.offset ?? -1) - start;
  if (!fault?.corrupt || offset < 0 || offset >= piece.length) return piece;
  const copy = Uint8Array.from(piece);
  copy[offset] = (copy[offset] ?? 0) ^ fault.corrupt.xor;
  return copy;
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.once("drain", done).once("close", done);
  });
}

function parseRequest(incoming: IncomingMessage): ServiceRequest {
  const [path = "/", search = ""] = (incoming.url ?? "/").split(/\?(.*)/s);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    headers[name] = Array.isArray(value) ? value.join(", ") : (value ?? "");
  }
  // Without this option, a loop that throws would break the connection before the error is answered.
  const body = incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  return { method: incoming.method ?? "GET", path, query: parseQuery(search), headers, body };
}

function parseQuery(search: string): Map<string, string> {
  const pairs = search.split("&").filter((pair) => pair !== "");
  return new Map(
    pairs.map((pair) => {
      const [name = "", value = ""] = pair.split(/=(.*)/s);
      return [decode(name), decode(value)];
    }),
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function countConnections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}
