/** An HTTP proxy in front of a server. It alters responses before it forwards them. */
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A request that passed through the proxy. */
export interface ProxiedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

/** A complete response. Header names are in lower case, and a header may occur twice. */
export interface ProxiedResponse {
  status: number;
  headers: [name: string, value: string][];
  body: Buffer;
}

/** Changes a response in place, or returns the bytes to write to the socket instead. */
export type Alteration = (
  response: ProxiedResponse,
  request: ProxiedRequest,
) => string | Buffer | undefined | Promise<string | Buffer | undefined>;

/** A running proxy. */
export interface HttpProxy {
  readonly endpoint: string;
  /** Applied to every later response. Undefined forwards responses unchanged. */
  alter: Alteration | undefined;
  /** Responds in place of the server. Undefined forwards a request. */
  answer: ((request: ProxiedRequest) => ProxiedResponse | undefined) | undefined;
  close(): Promise<void>;
}

/** Starts a proxy on a free port of 127.0.0.1, in front of an endpoint such as "http://127.0.0.1:9000". */
export async function startHttpProxy(target: string): Promise<HttpProxy> {
  const { hostname: host, port } = new URL(target);
  const sockets = new Set<Socket>();
  const server: Server = createServer((incoming, outgoing) => {
    const { method = "GET", url = "/", headers } = incoming;
    const asked = { method, url, headers };
    const write = ({ status, headers: pairs, body }: ProxiedResponse) => {
      const isBare = method === "HEAD" || status === 204 || status === 304;
      const head = pairs.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const bytes = Buffer.concat([
        Buffer.from(`HTTP/1.1 ${status} X\r\n${head}\r\n`, "latin1"),
        isBare ? Buffer.alloc(0) : body,
      ]);
      incoming.socket.write(bytes);
      const isEndless =
        !isBare && !pairs.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
      if (isEndless) incoming.socket.end();
    };
    const own = proxy.answer?.(asked);
    if (own) {
      incoming.resume().once("end", () => write(own));
      return;
    }
    const upstream = request({ host, port, method, path: url, headers, agent: false }, async (response) => {
      const body: Buffer[] = [];
      for await (const piece of response) body.push(piece as Buffer);
      const pairs: [string, string][] = [];
      for (let index = 0; index < response.rawHeaders.length; index += 2)
        pairs.push([response.rawHeaders[index]?.toLowerCase() ?? "", response.rawHeaders[index + 1] ?? ""]);
      const kept = pairs.filter(
        ([name]) => name !== "transfer-encoding" && name !== "connection" && name !== "keep-alive",
      );
      const answered: ProxiedResponse = {
        status: response.statusCode ?? 0,
        headers: kept,
        body: Buffer.concat(body),
      };
      const stated = kept.some(([name]) => name === "content-length");
      if (!stated && method !== "HEAD" && answered.status !== 204 && answered.status !== 304)
        kept.push(["content-length", String(answered.body.length)]);
      const raw = await proxy.alter?.(answered, asked);
      if (raw === undefined) write(answered);
      else incoming.socket.end(raw);
    });
    upstream.on("error", () => incoming.socket.destroy());
    incoming.pipe(upstream);
    // Only the socket is written to.
    outgoing.on("error", () => undefined);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const proxy: HttpProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    alter: undefined,
    answer: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return proxy;
}

/** The value of a header. */
export function headerOf({ headers }: ProxiedResponse, name: string): string | undefined {
  return headers.find(([one]) => one === name)?.[1];
}

/** Sets a header, or removes it. */
export function setHeader(response: ProxiedResponse, name: string, value: string | undefined): void {
  response.headers = response.headers.filter(([one]) => one !== name);
  if (value !== undefined) response.headers.push([name, value]);
}

/** Sets the body, and its length. */
export function setBody(response: ProxiedResponse, body: string | Buffer): void {
  response.body = Buffer.from(body);
  setHeader(response, "content-length", String(response.body.length));
}
