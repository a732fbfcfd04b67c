/** The diagnostics channels of this package; docs/performance.md says more. */
import { channel } from "node:diagnostics_channel";

/** A message of the channel `s3-envelope:engine`. */
export interface EngineEvent {
  /** No worker thread could be started: this engine now works on the calling thread. Published once for each engine. */
  readonly event: "fallback";
  /** The reason. */
  readonly cause: unknown;
}

/** Events of the engines that seal and open chunks. */
export const engineChannel = channel("s3-envelope:engine");
