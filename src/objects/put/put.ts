/** Writes one object: data key, envelope, sealed body, in one PutObject or in a multipart upload. */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { chunkBytes, ciphertextLength, headerBytes, sealedChunkBytes } from "../../cobblestone/layout.js";
import { sealSource } from "../../cobblestone/stream/message.js";
import { Sealer } from "../../cobblestone/stream/sealer.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import { type Call, callOptions, type TransferOptions } from "../../transfer/call.js";
import { plaintextBytesBefore } from "../../transfer/parts.js";
import { type PutBody, type Source, sourceArgument } from "../../transfer/source.js";
import { type ClientConfig, readAheadBytesOf, workingOf } from "../encrypted/config.js";
import { type BodyEncoder, putBody, runPut } from "./put-body.js";
import {
  type PutOutput,
  prepareWrite,
  putOutput,
  type WriteInput,
  type WriteRequest,
  withSidecar,
  writeArguments,
} from "./write.js";

/**
 * What `put` takes: the input of PutObject, except for fields that describe the bytes sent, and these.
 * `ContentLength` is the plaintext's.
 */
export interface PutInput extends WriteInput {
  /**
   * The plaintext. Strings are UTF-8; streams are read once and closed, also when the call
   * fails; but not when an argument is wrong.
   */
  readonly Body: PutBody;
  ContentLength?: PutObjectCommandInput["ContentLength"];
}

interface PutRequest extends WriteRequest {
  readonly source: Source;
}

/** See `EnvelopeClient.put`. */
export async function put(
  config: ClientConfig,
  input: PutInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const checked = callOptions(fieldNames.put.options, options);
  const request = putArguments(config, input);
  return runPut(request, config.budget, checked, (call) => write(config, request, call));
}

function putArguments(config: ClientConfig, input: PutInput): PutRequest {
  const { Body, ContentLength, ...others } = fieldsArgument<PutInput>(
    fieldNames.put.input,
    input,
  ) as PutInput;
  return { ...writeArguments(config, others, "PutObject"), source: sourceArgument(Body, ContentLength) };
}

async function write(config: ClientConfig, request: PutRequest, call: Call): Promise<PutOutput> {
  const { target, source } = request;
  const prepared = await prepareWrite(config, request, call.signal);
  const commit = new ConfirmedWrite();
  const body = { put: prepared.put, target, source, call, commit };
  const sealing = sealingOf(config, prepared.keys, source.length);
  const output = await withSidecar(config, prepared, call, commit, () => putBody(config, body, sealing));
  return putOutput(output, source.bytes?.length ?? source.bytesRead);
}

function sealingOf(
  config: ClientConfig,
  keys: MessageKeys,
  plaintextLength: number | undefined,
): BodyEncoder {
  return {
    ciphertextLength,
    plaintextBytesBefore,
    plaintextBytesFor,
    readAheadBytes: readAheadBytesOf(config, plaintextLength),
    seal: (plaintext) => sealSource(plaintext, keys, { ...workingOf(config), reuseBuffers: true }),
    sealAtOnce: (plaintext) => sealAtOnce(plaintext, keys),
  };
}

/** Bytes of plaintext that it takes to make the first so many bytes of a message, and at least one more. */
function plaintextBytesFor(ciphertextBytes: number): number {
  const chunk = Math.floor((ciphertextBytes - headerBytes) / sealedChunkBytes);
  return (Math.max(chunk, 0) + 1) * chunkBytes;
}

function sealAtOnce(bytes: Uint8Array, keys: MessageKeys): Buffer {
  const sealer = new Sealer(keys);
  // Memory of its own: that of Buffer.concat may be shared with others.
  const sealed: Buffer = Buffer.allocUnsafeSlow(ciphertextLength(bytes.length));
  let filled = 0;
  for (const piece of [...sealer.update(bytes), ...sealer.final()]) filled += piece.copy(sealed, filled);
  return sealed;
}
