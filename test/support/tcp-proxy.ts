/** A TCP proxy in front of a server. It breaks connections by rules. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A rule, for the requests that match it. */
export interface ProxyRule {
  /** Matched against the request line and the headers. */
  readonly match: RegExp;
  readonly skip?: number;
  /** 1 by default. */
  readonly times?: number;
  /** Breaks the connection after this many bytes of the request, including its head, were forwarded. */
  readonly resetRequestAt?: number;
  /** Breaks the connection after this many bytes of the request's body were forwarded. */
  readonly resetBodyAt?: number;
  /** Breaks the connection after this many bytes of the response were forwarded. */
  readonly resetResponseAt?: number;
  /** Stalls after this many bytes of the response were forwarded. */
  readonly stallResponseAt?: number;
}

/** A running proxy. */
export interface TcpProxy {
  readonly endpoint: string;
  /** Adds a rule. Its `hits` counts the requests that it was applied to. */
  rule(rule: ProxyRule): { readonly hits: number };
  /** The number of open client connections. */
  connections(): number;
  close(): Promise<void>;
}

interface Entry {
  readonly rule: ProxyRule;
  skip: number;
  left: number;
  hits: number;
}

/** Starts a proxy on a free port of 127.0.0.1, in front of an endpoint such as "http://127.0.0.1:9000". */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname: host, port } = new URL(target);
  const entries: Entry[] = [];
  const open = new Set<Socket>();
  const strike = (head: string) => {
    const entry = entries.find(({ rule, left }) => left > 0 && rule.match.test(head));
    if (!entry || entry.skip-- > 0) return undefined;
    entry.left -= 1;
    entry.hits += 1;
    return entry.rule;
  };
  const server = createServer((client) => {
    open.add(client);
    client.once("close", () => open.delete(client));
    relay(client, connect({ host, port: Number(port) }), strike);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    rule(rule) {
      const entry = { rule, skip: rule.skip ?? 0, left: rule.times ?? 1, hits: 0 };
      entries.push(entry);
      return entry;
    },
    connections: () => open.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

/** HTTP/1.1 without pipelining: a request begins with the first bytes of a connection, or the first ones after a response. */
function relay(client: Socket, upstream: Socket, strike: (head: string) => ProxyRule | undefined): void {
  let head = "";
  let inHead = true;
  let rule: ProxyRule | undefined;
  let sent = 0;
  let received = 0;
  let requestLimit = Number.POSITIVE_INFINITY;
  const end = () => {
    client.destroy();
    upstream.destroy();
  };
  client.on("error", end).on("close", end);
  // A server that closes the connection after its response must not end a stall.
  const over = () => (rule?.stallResponseAt === undefined ? end() : undefined);
  upstream.on("error", over).on("close", over);
  const pass = (from: Socket, to: Socket, bytes: Uint8Array) => {
    if (to.write(bytes)) return;
    from.pause();
    to.once("drain", () => from.resume());
  };
  client.on("data", (bytes: Buffer) => {
    if (received > 0) {
      head = "";
      inHead = true;
      rule = undefined;
      requestLimit = Number.POSITIVE_INFINITY;
      sent = received = 0;
    }
    if (inHead) {
      head += bytes.toString("latin1");
      const headBytes = head.indexOf("\r\n\r\n") + 4;
      inHead = headBytes < 4;
      if (!inHead) {
        rule = strike(head.slice(0, headBytes - 4));
        const { resetBodyAt = Number.POSITIVE_INFINITY } = rule ?? {};
        requestLimit = rule?.resetRequestAt ?? headBytes + resetBodyAt;
      }
    }
    const allowed = bytes.subarray(0, Math.max(0, requestLimit - sent));
    sent += allowed.length;
    pass(client, upstream, allowed);
    if (allowed.length < bytes.length) client.resetAndDestroy();
  });
  upstream.on("data", (bytes: Buffer) => {
    // "100 Continue" is not the final response to a request.
    if (received === 0 && bytes.subarray(0, 12).toString("latin1") === "HTTP/1.1 100") {
      pass(upstream, client, bytes);
      return;
    }
    const limit = rule?.resetResponseAt ?? rule?.stallResponseAt ?? Number.POSITIVE_INFINITY;
    const allowed = bytes.subarray(0, Math.max(0, limit - received));
    received += bytes.length;
    if (allowed.length > 0) pass(upstream, client, allowed);
    if (allowed.length < bytes.length && rule?.resetResponseAt !== undefined) client.resetAndDestroy();
  });
}
