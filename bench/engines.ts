/** The ways to run the frame layer that every table compares: options to spread into those of a call or a client. */
import { CryptoEngine } from "s3-envelope";

/** All work on the calling thread. */
export const onThread = { engine: new CryptoEngine({ maxWorkers: 0 }) };

/** The default: long messages are worked on by the shared engine's threads. */
export const withWorkers = {};
