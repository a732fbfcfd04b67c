/** A process that encrypts one message and sends its peak memory in bytes, for bench/encrypt-memory.ts. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { blockBytes, nowhere, repeated, sourcePieceBytes } from "./bytes.js";
import { type MemoryOrder, measuredWays } from "./encrypt-memory.js";
import { peakRssBytes } from "./peak-memory.js";

const [{ way, bytes }] = (await once(process, "message")) as [MemoryOrder];
await measuredWays[way].seal(repeated(randomBytes(blockBytes), bytes, sourcePieceBytes), nowhere);
process.send?.(peakRssBytes(), () => process.exit());
