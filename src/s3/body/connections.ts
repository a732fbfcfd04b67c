/**
 * The connections of an S3Client that bodies occupy. A body that nobody reads at the moment gives up its connection when
 * requests wait for one: its reader may be waiting for those requests.
 */
import type { Agent } from "node:http";
import { IncomingMessage } from "node:http";
import type { S3Client } from "@aws-sdk/client-s3";

/** A body that has a connection of its own. */
export interface OpenBody {
  /** When the last read of its bytes ended, by `performance.now()`; undefined while a read waits for them. */
  readonly idleSince: number | undefined;
  /** The stream of the response, which has the connection if it is Node's own. */
  readonly stream: unknown;
  /** Gives up the connection. Called only while the body is idle. False when it takes further calls. */
  release(): boolean;
}

/**
 * The interval of checks in milliseconds. A request must have waited, and a body must have been idle, for this long before a
 * connection is given up. Only speed depends on it.
 */
const checkEveryMs = 100;
/** The time without any bytes or responses after which a request without a response counts as waiting for a connection. */
const quietMs = 2_000;

/** By request handler, which owns the connections. */
const known = new WeakMap<object, Connections>();
const watched = new WeakSet<object>();

/** The connections of a client; clients with the same request handler share them. */
export function connectionsOf(s3: S3Client): Connections {
  const handler: object = s3.config?.requestHandler ?? s3;
  const connections = known.get(handler) ?? new Connections(handler);
  known.set(handler, connections);
  if (!watched.has(s3)) {
    watched.add(s3);
    s3.middlewareStack?.add(
      (next) => (args) => connections.whileInFlight(() => next(args)),
      // The last before the handler: each attempt of a request by itself.
      { step: "deserialize", priority: "low" },
    );
  }
  return connections;
}

/** See {@link connectionsOf}. */
export class Connections {
  readonly #handler: object;
  readonly #bodies = new Set<OpenBody>();
  /** Requests that were given to the handler and have no response yet. */
  readonly #inFlight = new Set<object>();
  /** Requests that waited at the last {@link #check}. */
  #waitedBefore: ReadonlySet<object> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #movedAt = 0;

  constructor(handler: object) {
    this.#handler = handler;
  }

  /** Adds a body that has got a connection. */
  add(body: OpenBody): void {
    this.#bodies.add(body);
    this.moved();
    this.#timer ??= setInterval(() => this.#check(), checkEveryMs).unref();
  }

  /** Removes a body that has no connection any more, or keeps it. */
  delete(body: OpenBody): void {
    this.#bodies.delete(body);
  }

  /** Notes that bytes or a response have arrived. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  /** Runs one attempt of a request. */
  async whileInFlight<T>(send: () => Promise<T>): Promise<T> {
    const request = {};
    this.#inFlight.add(request);
    try {
      return await send();
    } finally {
      this.#inFlight.delete(request);
      this.moved();
    }
  }

  #check(): void {
    // Not as soon as the last body is gone: most often the next one follows at once.
    if (this.#bodies.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#waitedBefore = new Set();
      return;
    }
    const waitedBefore = this.#waitedBefore;
    const waitedNow = new Set<object>();
    // Least recently read first.
    const idle = [...this.#bodies]
      .filter((body) => idleTime(body) >= checkEveryMs)
      .sort((left, right) => idleTime(right) - idleTime(left));
    for (const { requests, isWaitingFor } of this.#queues()) {
      for (const request of requests) waitedNow.add(request);
      let wanted = requests.filter((request) => waitedBefore.has(request)).length;
      for (const body of idle) {
        if (wanted === 0) break;
        // Another queue may have taken it already.
        if (!this.#bodies.has(body) || !isWaitingFor(body)) continue;
        if (body.release()) wanted -= 1;
      }
    }
    this.#waitedBefore = waitedNow;
  }

  /** The requests that wait for a connection, by the queues of Node's agents; without agents, those that seem to wait. */
  #queues(): Queue[] {
    const agents = agentsOf(this.#handler);
    if (agents.length > 0) return agents.flatMap(queuesOf);
    const isQuiet = performance.now() - this.#movedAt >= quietMs;
    return isQuiet ? [{ requests: [...this.#inFlight], isWaitingFor: () => true }] : [];
  }
}

interface Queue {
  readonly requests: readonly object[];
  /** Whether they can use the connection of a body. */
  readonly isWaitingFor: (body: OpenBody) => boolean;
}

function idleTime({ idleSince }: OpenBody): number {
  return idleSince === undefined ? 0 : performance.now() - idleSince;
}

/** The agents of a handler of the SDK, after its first request. */
function agentsOf(handler: { httpHandlerConfigs?: () => unknown }): Agent[] {
  const { httpAgent, httpsAgent } = Object(handler.httpHandlerConfigs?.()) as Record<string, unknown>;
  return [httpAgent, httpsAgent].filter((agent): agent is Agent => {
    const { requests, sockets } = Object(agent) as Partial<Agent>;
    return typeof requests === "object" && typeof sockets === "object";
  });
}

/** An agent has one queue for each host. */
function queuesOf(agent: Agent): Queue[] {
  // Not in the types of Node.
  const { totalSocketCount = 0 } = agent as { totalSocketCount?: number };
  const isFullForAll = totalSocketCount >= agent.maxTotalSockets;
  return Object.entries(agent.requests).map(([host, requests = []]) => {
    const sockets = new Set(isFullForAll ? Object.values(agent.sockets).flat() : agent.sockets[host]);
    const isWaitingFor = ({ stream }: OpenBody) =>
      !(stream instanceof IncomingMessage) || (!stream.readableEnded && sockets.has(stream.socket));
    return { requests, isWaitingFor };
  });
}
