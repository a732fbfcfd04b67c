/** Limits how fast a server of this process sends on each of its connections, as an S3 far away does. */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

/** A connection that had nothing to send catches up on no more than that: timers are late by a millisecond or two. */
const maxLateMs = 5;

/** Limits the sending on all connections that servers of this process accept from now on, not the receiving. */
export function limitConnections(bytesPerSecond: number): void {
  subscribe("net.server.socket", (message) => limit((message as { socket: Socket }).socket, bytesPerSecond));
}

/** Each write waits until those before it have taken the time that the rate gives them. */
function limit(socket: Socket, bytesPerSecond: number): void {
  let freeAt = 0;
  const afterOthers = (bytes: number, write: () => void) => {
    const now = performance.now();
    const startAt = Math.max(freeAt, now - maxLateMs);
    freeAt = startAt + (bytes / bytesPerSecond) * 1000;
    if (startAt <= now) write();
    else setTimeout(write, startAt - now);
  };
  const writeOne = socket._write.bind(socket);
  const writeMany = socket._writev?.bind(socket);
  socket._write = (piece, encoding, done) =>
    afterOthers(Buffer.byteLength(piece), () => writeOne(piece, encoding, done));
  socket._writev = (pieces, done) => {
    const bytes = pieces.reduce((sum, { chunk }) => sum + Buffer.byteLength(chunk), 0);
    afterOthers(bytes, () => writeMany?.(pieces, done));
  };
}
