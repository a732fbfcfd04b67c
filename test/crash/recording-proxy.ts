/** An HTTP proxy in front of an S3 that may be killed. It keeps the bytes sent for each part and compares them when a part is sent again. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** A running proxy. */
export interface RecordingProxy {
  readonly endpoint: string;
  /** The current address of the S3. */
  target: URL;
  /** The number of parts that were sent more than once. */
  readonly sentAgain: number;
  /** Parts whose bytes differed from those that were sent before. */
  readonly faults: readonly string[];
  /** Forgets all parts. */
  forget(): void;
  close(): Promise<void>;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startRecordingProxy(target: URL): Promise<RecordingProxy> {
  /** The longest body that was sent for each part. */
  const bodies = new Map<string, Buffer>();
  const faults: string[] = [];
  let sentAgain = 0;
  const record = (part: string, body: Buffer) => {
    const before = bodies.get(part);
    const both = Math.min(before?.length ?? 0, body.length);
    if (both > 0) sentAgain += 1;
    if (before && Buffer.compare(before.subarray(0, both), body.subarray(0, both)) !== 0) faults.push(part);
    if (!before || body.length > before.length) bodies.set(part, body);
  };
  const server = createServer((incoming, outgoing) => {
    const { searchParams } = new URL(incoming.url ?? "/", "http://proxy");
    const part = searchParams.get("partNumber");
    const pieces: Buffer[] = [];
    const { hostname, port } = proxy.target;
    const { method, url: path, headers } = incoming;
    const forwarded = request({ hostname, port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on("error", () => outgoing.destroy()).pipe(outgoing);
    });
    // Destroying the request would leave the connection open once the request is complete.
    forwarded.on("error", () => outgoing.destroy());
    incoming.on("error", () => forwarded.destroy());
    incoming.on("data", (piece: Buffer) => pieces.push(piece));
    incoming.on("close", () => {
      if (part !== null) record(`${searchParams.get("uploadId")}/${part}`, Buffer.concat(pieces));
      if (!incoming.complete) forwarded.destroy();
    });
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target,
    get sentAgain() {
      return sentAgain;
    },
    faults,
    forget: () => bodies.clear(),
    close: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
