/** Reads one object, whole or a range of it, as a stream of verified plaintext. */
import { fieldNames } from "../../fields/field-names.js";
import { callOptions, type OpenCall, openCall, type TransferOptions } from "../../transfer/call.js";
import type { ProgressMeter } from "../../transfer/progress.js";
import type { ClientConfig } from "../encrypted/config.js";
import type { OpenedContent, ReadRequest } from "../encrypted/format.js";
import { fetchOtherFormat, readFormats } from "../encrypted/formats.js";
import { openEncryptedObject } from "../encrypted/open-object.js";
import { firstRange, tailError } from "../encrypted/tail.js";
import { readAhead } from "../parallel/read-ahead.js";
import { type VerifiedBody, verifiedBody } from "./body.js";
import { type GetInput, type GetOutput, getArguments } from "./get-input.js";

export type { GetInput, GetOutput } from "./get-input.js";

/** See `EnvelopeClient.get`. */
export async function get(
  config: ClientConfig,
  input: GetInput,
  options: TransferOptions,
): Promise<GetOutput> {
  const checked = callOptions(fieldNames.get.options, options);
  const { parallel, ...request } = getArguments(config, input);
  const { bucket, key } = request.target;
  return openCall({ operation: "get", bucket, key }, checked, async (call) => {
    const readChunks = parallel ? readAhead : undefined;
    const content = await openContent(config, { ...request, config, readChunks, signal: call.signal });
    const { output, ciphertextRange } = content;
    const { onProgress } = checked;
    const plaintext = onProgress ? metered(content, call.meter) : content.plaintext;
    return { ...output, Body: bodyOf(plaintext, call, ciphertextRange) };
  });
}

async function openContent(config: ClientConfig, request: ReadRequest): Promise<OpenedContent> {
  const { range, verifyLength, allowUnencrypted = false } = request;
  const object = await openEncryptedObject(readFormats(config), request, {
    ...firstRange(range, verifyLength),
    onUnsatisfiable: (error, fetch) =>
      fetchOtherFormat(config, { range, allowUnencrypted }, fetch, verifyLength ? tailError(error) : error),
  });
  return range ? object.openRange(range) : object.openWhole();
}

function bodyOf(
  plaintext: AsyncIterable<Uint8Array>,
  call: OpenCall,
  ciphertextRange: string | undefined,
): VerifiedBody {
  return verifiedBody(plaintext, {
    signal: call.signal,
    // After its end nothing runs that would have to be aborted.
    close: (ended) => (ended ? call.end() : call.close()),
    failed: (error) => call.named(error, ciphertextRange),
  });
}

async function* metered(
  { plaintext, output }: OpenedContent,
  meter: ProgressMeter,
): AsyncGenerator<Uint8Array, undefined> {
  meter.totalBytes = output.ContentLength;
  meter.totalParts = 1;
  for await (const piece of plaintext) {
    meter.add(piece.length);
    yield piece;
  }
  meter.add(0, 1);
  meter.end();
  return undefined;
}
