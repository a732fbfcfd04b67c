/** Downloads one object to a file: blocks in parallel, each verified before it is written; resumable after a failure. */
import { fileFailed } from "../../base/files.js";
import { chunkRange, plaintextLength, sealedBytes } from "../../cobblestone/layout.js";
import { fieldNames } from "../../fields/field-names.js";
import { type Call, callOptions, type TransferOptions, withCall } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";
import { nativeFormats } from "../encrypted/formats.js";
import { openEncryptedObject } from "../encrypted/open-object.js";
import { blockChunks, requestRange } from "../parallel/blocks.js";
import { downloadBlocks } from "./download-blocks.js";
import {
  type DownloadArguments,
  type DownloadInput,
  type DownloadOutput,
  downloadArguments,
  requirePlace,
} from "./download-input.js";
import { PartialFile } from "./partial-file.js";

export type { DownloadInput, DownloadOutput } from "./download-input.js";

/** The paths to which this process is downloading. */
const pathsInUse = new Set<string>();

/**
 * See `EnvelopeClient.download`.
 *
 * @param chunksPerBlock smaller in tests
 */
export async function download(
  config: ClientConfig,
  input: DownloadInput,
  options: TransferOptions,
  chunksPerBlock = blockChunks,
): Promise<DownloadOutput> {
  const checked = callOptions(fieldNames.download.options, options);
  const request = downloadArguments(input);
  const target = { ...request.target, operation: "download", budget: config.budget } as const;
  const { path, keepPartial } = request;
  if (pathsInUse.has(path))
    return withCall(target, checked, async () => {
      throw fileFailed(path, "be written", new Error("another download to it is in progress"));
    });
  pathsInUse.add(path);
  try {
    return await withCall(target, checked, async (call) => {
      await requirePlace(path);
      return downloadObject(config, request, chunksPerBlock, call);
    });
  } catch (error) {
    // The call may have failed before it found the partial file of an earlier one.
    if (keepPartial === false) await PartialFile.removeAll(path).catch(() => undefined);
    throw error;
  } finally {
    pathsInUse.delete(path);
  }
}

async function downloadObject(
  config: ClientConfig,
  request: DownloadArguments,
  chunksPerBlock: number,
  call: Call,
): Promise<DownloadOutput> {
  const { signal } = call;
  // Before any request: a call that waits for memory must not hold a connection that others need to release theirs.
  const bytes = sealedBytes(chunksPerBlock);
  const lease = await config.budget.acquire(call, bytes, signal, bytes);
  try {
    const { get, target, expected, path } = request;
    const Range = requestRange(chunkRange(0, chunksPerBlock));
    const read = { config, get, target, signal, expected };
    const object = await openEncryptedObject(nativeFormats(config), read, {
      Range,
      yieldsConnection: false,
      // An empty object has no range. Its metadata still says what it is.
      onUnsatisfiable: (_error, fetch) => fetch(undefined),
    });
    const response = await object.response(Range);
    const readable = object.readable();
    const ContentLength = plaintextLength(readable.ciphertextLength);
    const first = { response, lease };
    const resumedBytes = await downloadBlocks(readable, request, { chunksPerBlock, first, call });
    const {
      ContentRange: _range,
      AcceptRanges: _ranges,
      encrypted: _encrypted,
      ...output
    } = object.outputOf(response, { ContentLength });
    const { encryptionContext } = object;
    return { ...withoutBody(output), filePath: path, ContentLength, encryptionContext, resumedBytes };
  } catch (error) {
    call.abort(error);
    throw error;
  } finally {
    lease.release();
  }
}

function withoutBody<T extends object>(output: T): T {
  const { Body: _body, ...rest } = output as T & { readonly Body?: unknown };
  return rest as unknown as T;
}
