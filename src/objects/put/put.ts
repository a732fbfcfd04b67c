/** Writes one object: prepares its envelope, encrypts its body, and sends both. */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import { type BodySource, bodyArgument, closingOnFailure, type PutBody } from "../../transfer/body-source.js";
import { callOptions, type TransferOptions, withCall } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";
import { messageEncoder } from "./body-encoder.js";
import { prepareWrite } from "./prepare-write.js";
import { sendBody } from "./send-body.js";
import { withSidecar } from "./sidecar-write.js";
import { type PutOutput, type WriteInput, type WriteRequest, writeArguments } from "./write-arguments.js";

export type { PutOutput } from "./write-arguments.js";

/**
 * The input of `put`: that of PutObject, except for fields that describe the bytes sent, and these. `ContentLength` is that of
 * the plaintext.
 */
export interface PutInput extends WriteInput {
  /**
   * The plaintext. Strings are encoded as UTF-8. A stream is read once and closed at the end of the call, also when it fails;
   * it stays untouched when an argument is wrong.
   */
  readonly Body: PutBody;
  ContentLength?: PutObjectCommandInput["ContentLength"];
}

/** See `EnvelopeClient.put`. */
export async function put(
  config: ClientConfig,
  input: PutInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const checked = callOptions(fieldNames.put.options, options);
  const request = putArguments(config, input);
  const { target, source } = request;
  return closingOnFailure(source, () =>
    withCall({ ...target, operation: "put", budget: config.budget }, checked, async (call) => {
      const prepared = await prepareWrite(config, request, call.signal);
      const encoder = messageEncoder(config, prepared.keys, source);
      const write = { put: prepared.put, target, call, commit: new ConfirmedWrite() };
      return withSidecar(config, prepared, call, write.commit, () =>
        sendBody(config, write, source, encoder),
      );
    }),
  );
}

function putArguments(config: ClientConfig, input: PutInput): WriteRequest & { readonly source: BodySource } {
  const { Body, ContentLength, ...write } = fieldsArgument<PutInput>(fieldNames.put.input, input) as PutInput;
  return { ...writeArguments(config, write, "PutObject"), source: bodyArgument(Body, ContentLength) };
}
