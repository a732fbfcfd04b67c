/** The S3EC cross-language test protocol in front of a {@link LegacyPeer}, so that the public suite can test it. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { refusalMessage } from "./conformance-refusal.js";
import {
  BadRequest,
  booleanHeader,
  configOf,
  contextHeader,
  headerOf,
  keyMaterialOf,
} from "./conformance-request.js";
import type { LegacyPeer, LegacyPeerClient } from "./legacy-peer.js";

const types = "software.amazon.encryption.s3#";

/** A running server. */
export interface ConformanceServer {
  readonly port: number;
  /** Closes it and its connections. */
  close(): Promise<void>;
}

/** A response: a body of bytes, or a value to send as JSON. */
interface Answer {
  readonly status: number;
  readonly body: Uint8Array | object;
}

/** Starts a server on the loopback interface. Port 0 picks a free port. */
export async function startConformanceServer(peer: LegacyPeer, port = 0): Promise<ConformanceServer> {
  const clients = new Map<string, LegacyPeerClient>();
  const server = createServer((request, response) => {
    void answer(peer, clients, request).then((made) => send(response, made));
  });
  await listening(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Serves as a program. On the port of the environment's PORT, as the suite starts it, it runs until it is killed; else on a
 * free port, which it prints, until standard input ends, as the peers here do.
 */
export async function runConformanceServer(peer: LegacyPeer): Promise<void> {
  const fixed = process.env.PORT;
  const server = await startConformanceServer(peer, fixed === undefined ? 0 : Number(fixed));
  console.log(JSON.stringify({ port: server.port }));
  if (fixed !== undefined) return;
  process.stdin.resume();
  process.stdin.once("end", () => void server.close().finally(() => process.exit(0)));
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}

async function answer(
  peer: LegacyPeer,
  clients: Map<string, LegacyPeerClient>,
  request: IncomingMessage,
): Promise<Answer> {
  try {
    return await dispatch(peer, clients, request);
  } catch (error) {
    const message = refusalMessage(error);
    if (message !== undefined) return failure(500, "S3EncryptionClientError", message);
    if (!(error instanceof BadRequest)) console.error(error);
    return failure(500, "GenericServerError", error instanceof Error ? error.message : String(error));
  }
}

async function dispatch(
  peer: LegacyPeer,
  clients: Map<string, LegacyPeerClient>,
  request: IncomingMessage,
): Promise<Answer> {
  const body = await bodyOf(request);
  // Not parsed as a URL, which would resolve names like "..".
  const [path = ""] = (request.url ?? "").split("?");
  const [operation = "", ...names] = path.slice(1).split("/").map(decodeURIComponent);
  const route = `${request.method} ${operation} ${names.length}`;
  if (route === "POST client 0") {
    const clientId = randomUUID();
    clients.set(clientId, await peer.createClient(configOf(body)));
    return { status: 200, body: { clientId } };
  }
  const [bucket = "", key = "", last = "reencrypt"] = names;
  const isKnown = ["PUT object 2", "GET object 2", "POST object 3"].includes(route) && last === "reencrypt";
  if (!isKnown) return failure(404, "GenericServerError", `no such operation: ${route}`);
  const client = clients.get(headerOf(request, "ClientID") ?? "");
  if (!client) return failure(404, "GenericServerError", "no such client");
  const context = contextHeader(request);
  const suffix = headerOf(request, "InstructionFileSuffix");
  if (request.method === "PUT") {
    await client.put(bucket, key, body, { context });
    return { status: 200, body: { bucket, key, metadata: [] } };
  }
  if (request.method === "GET") {
    // Read completely, since a response that began with 200 cannot fail any more.
    const range = headerOf(request, "Range");
    return {
      status: 200,
      body: await client.get(bucket, key, { context, range, instructionFileSuffix: suffix }),
    };
  }
  const enforceRotation = booleanHeader(request, "EnforceRotation");
  await client.reencrypt(bucket, key, {
    keyMaterial: keyMaterialOf(body),
    instructionFileSuffix: suffix === undefined ? undefined : `.${suffix}`,
    enforceRotation,
  });
  return {
    status: 200,
    body: { bucket, key, instructionFileSuffix: suffix ?? "instruction", enforceRotation },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function failure(
  status: number,
  kind: "S3EncryptionClientError" | "GenericServerError",
  message: string,
): Answer {
  return { status, body: { __type: `${types}${kind}`, message } };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  const isBytes = body instanceof Uint8Array;
  const bytes = isBytes ? body : Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "Content-Type": isBytes ? "application/octet-stream" : "application/json",
    "Content-Length": bytes.length,
    // A get must have this header, with any value.
    "Content-Metadata": "",
  });
  response.end(bytes);
}
