/** Stores a source that fits into one part by one PutObject, without a multipart upload. */
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import type { Call } from "../../transfer/call.js";
import type { SeekableSource } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { prepareWrite } from "../put/prepare-write.js";
import { sendWhole } from "../put/send-body.js";
import { withSidecar } from "../put/sidecar-write.js";
import { type PutOutput, putOutput, type WriteRequest } from "../put/write-arguments.js";
import { type PartLayout, sealPart } from "./parts.js";

/** Encrypts and stores the source. */
export async function putSinglePart(
  config: ClientConfig,
  request: WriteRequest,
  source: SeekableSource,
  layout: PartLayout,
  call: Call,
): Promise<PutOutput> {
  call.meter.totalParts = 1;
  const prepared = await prepareWrite(config, request, call.signal);
  const { keys, put } = prepared;
  const commit = new ConfirmedWrite();
  const output = await withSidecar(config, prepared, call, commit, async () => {
    const part = await sealPart({ config, call, layout, keys, signal: call.signal }, source, 1);
    try {
      await source.requireUnchanged();
      return await sendWhole({ ...config, put, target: request.target, call, commit }, part.bytes);
    } finally {
      part.release(false);
    }
  });
  call.meter.add(source.length, 1);
  return putOutput(output, source.length);
}
