/** An HTTP or HTTPS server on loopback around one service: records requests and applies scripted faults. */
import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { FaultScript } from "./faults.js";
import { type Host, handleRequest } from "./handle-request.js";
import type { RequestLog } from "./request-log.js";
import type { Service } from "./service.js";

/** A running server. */
export interface RunningServer {
  /** Such as "http://127.0.0.1:40123", or "https:" with TLS. */
  readonly endpoint: string;
  /** Connections that are open now. */
  connections(): number;
  /**
   * Breaks all connections, stops listening, waits until no request is being handled, and closes the service.
   */
  close(): Promise<void>;
}

/** The key and the certificate of a server, in PEM. */
export interface ServerIdentity {
  readonly key: string;
  readonly cert: string;
}

/**
 * Starts a server for a service on a port of 127.0.0.1, a free one if it is 0. The service is closed with it.
 *
 * @param tls selects HTTPS; an unusable pair throws
 */
export async function startServer(
  service: Service,
  faults: FaultScript,
  log: RequestLog,
  port: number,
  tls: ServerIdentity | undefined,
): Promise<RunningServer> {
  const running = new Set<Promise<void>>();
  const sockets = new Set<Socket>();
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const host: Host = { service, faults, log, ending: ending.signal };
  const listen = (awaitsContinue: boolean) => (incoming: IncomingMessage, outgoing: ServerResponse) => {
    outgoing.on("error", () => undefined);
    incoming.on("error", () => undefined);
    // Each response that is being written listens to its connection, and any number can wait on one.
    setMaxListeners(0, incoming.socket);
    const handled = handleRequest(host, { incoming, outgoing, awaitsContinue })
      .catch(() => void outgoing.destroy())
      .finally(() => running.delete(handled));
    running.add(handled);
  };
  const server = tls ? createTlsServer(tls, listen(false)) : createServer(listen(false));
  server.on("checkContinue", listen(true));
  // Node.js does not close connections whose TLS handshake is incomplete.
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    if (ending.signal.aborted) socket.destroy();
  });
  server.requestTimeout = 0;
  // On a busy machine a client could send a request on a connection that the server is just closing as idle.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen({ port, host: "127.0.0.1", exclusive: true }, resolve);
  }).catch((error: unknown) => {
    service.close?.();
    throw error;
  });
  const address = server.address() as AddressInfo;
  return {
    endpoint: `${tls ? "https" : "http"}://127.0.0.1:${address.port}`,
    connections: () => sockets.size,
    async close() {
      ending.abort();
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
      for (const socket of sockets) socket.destroy();
      await Promise.all([stopped, ...closed]);
      await Promise.all(running);
      service.close?.();
    },
  };
}
