/** The diagnostics channels of this package; docs/performance.md says more. */
import { channel } from "node:diagnostics_channel";

/** What `s3-envelope:engine` carries. */
export interface EngineEvent {
  /** Worker threads cannot be had: from now on this engine works on the calling thread. Told once an engine. */
  readonly event: "fallback";
  /** Why. */
  readonly cause: unknown;
}

/** Events of the engines that seal and open chunks. */
export const engineChannel = channel("s3-envelope:engine");
