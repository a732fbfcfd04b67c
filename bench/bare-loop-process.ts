/** A process that runs the bare loop for a given time and sends its rate, for bench/limits.ts. */
import { createSecretKey, randomBytes } from "node:crypto";
import { loopPieceBytes, openLoop, sealLoop } from "./bare-loop.js";
import { blockBytes, nowhere, piecesOf, sourcePieceBytes } from "./bytes.js";
import type { Direction, LoopOrder } from "./limits.js";

const key = createSecretKey(randomBytes(32));
const plaintext = randomBytes(blockBytes);
const sealed: Uint8Array[] = [];
sealLoop(key, piecesOf(plaintext, sourcePieceBytes), (bytes) => sealed.push(bytes));
const message = Buffer.concat(sealed);
const opened: Uint8Array[] = [];
openLoop(key, piecesOf(message, loopPieceBytes), (bytes) => opened.push(bytes));
if (!Buffer.concat(opened).equals(plaintext)) throw new Error("an output is wrong: nothing is timed");

function rate(direction: Direction, milliseconds: number): number {
  const start = performance.now();
  let [bytes, elapsed] = [0, 0];
  while (elapsed < milliseconds) {
    if (direction === "encrypt") sealLoop(key, piecesOf(plaintext, sourcePieceBytes), nowhere);
    else openLoop(key, piecesOf(message, loopPieceBytes), nowhere);
    bytes += plaintext.length;
    elapsed = performance.now() - start;
  }
  return (bytes / elapsed) * 1000;
}

for (const direction of ["encrypt", "decrypt"] as const) rate(direction, 100);
process.on("message", ({ direction, milliseconds }: LoopOrder) => {
  process.send?.(rate(direction, milliseconds));
});
process.once("disconnect", () => process.exit());
process.send?.("ready");
