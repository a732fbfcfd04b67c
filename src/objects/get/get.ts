/** Reads one object, whole or a range of it, as a stream of verified plaintext. */
import { decodeEnvelope } from "../../envelope/metadata.js";
import { fieldNames } from "../../fields/field-names.js";
import { callOptions, type OpenCall, openCall, type TransferOptions } from "../../transfer/call.js";
import type { ProgressMeter } from "../../transfer/progress.js";
import type { ClientConfig } from "../encrypted/config.js";
import type { OpenedContent, ReadRequest } from "../encrypted/format.js";
import { fallbackFormat, readFormats } from "../encrypted/formats.js";
import { openEncryptedObject } from "../encrypted/open-object.js";
import { fetchObject } from "../encrypted/pinned-object.js";
import { ciphertextRange } from "../encrypted/range.js";
import { tailBytesFor, tailError } from "../encrypted/tail.js";
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
  // The place of a range that counts from the end depends on the end: in an object that was cut off it has other bytes.
  const provesLength = verifyLength || (range !== undefined && "suffix" in range);
  const tailBytes = provesLength ? tailBytesFor(range) : undefined;
  const object = await openEncryptedObject(readFormats(config), request, {
    Range: tailBytes === undefined ? range && ciphertextRange(range) : `bytes=-${tailBytes}`,
    tailBytes,
    async onUnsatisfiable(error) {
      const refusal = verifyLength ? tailError(error) : error;
      const format = fallbackFormat(config, allowUnencrypted);
      if (!format?.fallbackRange) throw refusal;
      const response = await fetchObject(request, format.fallbackRange(range));
      if (decodeEnvelope(response.output.Metadata ?? {})) throw refusal;
      return response;
    },
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
