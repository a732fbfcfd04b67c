/** The sidecar of a write: stored before the object, removed again if the write fails. */

import type { ConfirmedWrite } from "../../s3/confirmed-write.js";
import { isRefusal } from "../../s3/confirmed-write.js";
import { type CallControl, type Leftover, withLeftover } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";
import { deleteSidecar, putSidecar, type SidecarLocation } from "../encrypted/sidecar.js";
import type { PreparedWrite } from "./prepare-write.js";

/** Runs a write with its sidecar in place, if it has one. Removes a sidecar that nothing needs after a failure. */
export async function withSidecar<T>(
  config: ClientConfig,
  { put, sidecar }: Pick<PreparedWrite, "put" | "sidecar">,
  call: CallControl,
  commit: ConfirmedWrite,
  write: () => Promise<T>,
): Promise<T> {
  if (!sidecar) return write();
  let stored = false;
  try {
    await putSidecar(config.s3, put, sidecar.location, sidecar.text, call.signal);
    stored = true;
    return await write();
  } catch (error) {
    throw await removeSidecar(config, sidecar.location, { call, commit, stored }, error);
  }
}

/**
 * Removes the sidecar of a failed write, unless the object may exist.
 *
 * @returns the error, with a note if the sidecar may still exist
 */
export async function removeSidecar(
  { s3 }: ClientConfig,
  location: SidecarLocation,
  write: {
    readonly call: CallControl;
    readonly commit: Pick<ConfirmedWrite, "mayExist">;
    /** Whether S3 has confirmed the sidecar. */
    readonly stored: boolean;
  },
  error: unknown,
): Promise<unknown> {
  const { call, commit, stored } = write;
  const { Key } = location;
  if (commit.mayExist)
    return withLeftover(error, call, possibleOrphan(Key, "was kept, as the object may exist"));
  if (!(await deleteSidecar(s3, location))) {
    return withLeftover(error, call, {
      details: { orphanedSidecarKey: Key },
      advice: `Its sidecar "${Key}" could not be removed: nothing needs it, remove it`,
    });
  }
  if (stored || isRefusal(error)) return error;
  return withLeftover(error, call, possibleOrphan(Key, "was removed, but its PutObject may still arrive"));
}

function possibleOrphan(key: string, why: string): Leftover {
  return {
    details: { possiblyOrphanedSidecarKey: key },
    advice: `Its sidecar "${key}" ${why}: remove it if no object has its salt`,
  };
}
