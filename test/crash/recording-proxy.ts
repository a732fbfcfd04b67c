/** An HTTP proxy before an S3 that may go away, which keeps what was sent of each part and compares what is sent again. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** A running proxy. */
export interface RecordingProxy {
  readonly endpoint: string;
  /** Where the S3 is now. */
  target: URL;
  /** Parts of which something was sent more than once. */
  readonly sentAgain: number;
  /** What was sent of a part that is not what was sent of it before. */
  readonly faults: readonly string[];
  /** Forgets the parts so far. */
  forget(): void;
  close(): Promise<void>;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startRecordingProxy(target: URL): Promise<RecordingProxy> {
  /** The longest body so far of each part, with the headers' checksum left aside. */
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
    // Not the request: once it has come whole, that would leave the connection open.
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
