/** Parses an HTTP request for an in-process service. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceRequest } from "./service.js";

/** One request on its connection, and the place of its response. */
export interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** Whether the client waits for "100 Continue", which has not been sent, before it sends the body. */
  awaitsContinue: boolean;
}

/**
 * Reads the head of a request. "100 Continue" is sent when the body is first read, so that the body of a
 * request that is refused for its head is never sent.
 */
export function parseRequest(exchange: Exchange): ServiceRequest {
  const { incoming } = exchange;
  const [path = "/", search = ""] = (incoming.url ?? "/").split(/\?(.*)/s);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    headers[name] = Array.isArray(value) ? value.join(", ") : (value ?? "");
  }
  const { method = "GET" } = incoming;
  const url = `${"encrypted" in incoming.socket ? "https" : "http"}://${headers.host ?? ""}${path}`;
  return { method, path, url, query: parseQuery(search), headers, body: readBody(exchange) };
}

async function* readBody(exchange: Exchange): AsyncGenerator<Buffer, undefined> {
  const { incoming, outgoing } = exchange;
  if (exchange.awaitsContinue) outgoing.writeContinue();
  exchange.awaitsContinue = false;
  // Otherwise a loop that throws would break the connection before the error response.
  yield* incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  return undefined;
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
