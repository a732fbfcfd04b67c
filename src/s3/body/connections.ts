/**
 * The connections of an S3Client, as far as bodies hold them. A body that nobody reads at the moment gives its
 * connection up when requests wait for one: they may be what its reader waits for.
 */
import type { Agent } from "node:http";
import { IncomingMessage } from "node:http";
import type { S3Client } from "@aws-sdk/client-s3";

/** A body that has a connection of its own. */
export interface OpenBody {
  /** Since when nobody has asked for its bytes, by `performance.now()`; undefined while somebody waits for them. */
  readonly idleSince: number | undefined;
  /** The stream of the response, which tells the connection if it is Node's own. */
  readonly stream: unknown;
  /** Gives the connection up, called only while the body is idle; false when that takes some more looks. */
  release(): boolean;
}

/**
 * How often is looked, in milliseconds. A request has to wait, and a body has to be idle, for as long before anything is
 * done. Nothing but speed depends on it.
 */
const lookEveryMs = 100;
/** How long nothing may have moved before a request that has no response counts as waiting for a connection. */
const quietMs = 2_000;

/** By request handler, since that is what has the connections. */
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
      (next) => (args) => connections.whileUnderWay(() => next(args)),
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
  /** Requests that the handler has been given and that have no response. */
  readonly #underWay = new Set<object>();
  /** Requests that waited when {@link #look} looked last. */
  #waitedBefore: ReadonlySet<object> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #movedAt = 0;

  constructor(handler: object) {
    this.#handler = handler;
  }

  /** A body has got a connection. */
  add(body: OpenBody): void {
    this.#bodies.add(body);
    this.moved();
    this.#timer ??= setInterval(() => this.#look(), lookEveryMs).unref();
  }

  /** A body has none any more. */
  delete(body: OpenBody): void {
    this.#bodies.delete(body);
  }

  /** Bytes have come, or a response. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  /** Runs one attempt of a request. */
  async whileUnderWay<T>(send: () => Promise<T>): Promise<T> {
    const request = {};
    this.#underWay.add(request);
    try {
      return await send();
    } finally {
      this.#underWay.delete(request);
      this.moved();
    }
  }

  #look(): void {
    // Not as soon as the last one has gone: most often the next follows at once.
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
      .filter((body) => idleTime(body) >= lookEveryMs)
      .sort((left, right) => idleTime(right) - idleTime(left));
    for (const { requests, isWaitingFor } of this.#queues()) {
      for (const request of requests) waitedNow.add(request);
      let wanted = requests.filter((request) => waitedBefore.has(request)).length;
      for (const body of idle) {
        if (wanted === 0) break;
        // Another queue may have had it already.
        if (!this.#bodies.has(body) || !isWaitingFor(body)) continue;
        if (body.release()) wanted -= 1;
      }
    }
    this.#waitedBefore = waitedNow;
  }

  /** The requests that wait for a connection: as Node's agents tell, or if there are none, those that seem to. */
  #queues(): Queue[] {
    const agents = agentsOf(this.#handler);
    if (agents.length > 0) return agents.flatMap(queuesOf);
    const isQuiet = performance.now() - this.#movedAt >= quietMs;
    return isQuiet ? [{ requests: [...this.#underWay], isWaitingFor: () => true }] : [];
  }
}

interface Queue {
  readonly requests: readonly object[];
  /** Whether what a body gives up is of use to them. */
  readonly isWaitingFor: (body: OpenBody) => boolean;
}

function idleTime({ idleSince }: OpenBody): number {
  return idleSince === undefined ? 0 : performance.now() - idleSince;
}

/** The agents of a handler that is the SDK's own, once it has sent something. */
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
