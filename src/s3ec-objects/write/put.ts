/** Writes one object in the format of Amazon's S3 Encryption Clients: one GCM message, with its envelope in metadata or in an instruction file. */
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { sendBody } from "../../objects/put/send-body.js";
import type { PutOutput } from "../../objects/put/write-arguments.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import { joinLegacyMetadata } from "../../s3ec/encode.js";
import { legacyNames } from "../../s3ec/names.js";
import { closingOnFailure } from "../../transfer/body-source.js";
import { callOptions, type TransferOptions, withCall } from "../../transfer/call.js";
import { withInstructionFile } from "./instruction-write.js";
import { newMessage } from "./new-message.js";
import { type LegacyPutInput, legacyPutArguments } from "./put-input.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** See `LegacyWriter.put`. */
export async function putLegacy(
  config: LegacyWriterConfig,
  input: LegacyPutInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const { suite, budget } = config;
  const checked = callOptions(legacyFieldNames.put.options, options);
  const { put, target, userMetadata, context, source } = legacyPutArguments(config, input);
  return closingOnFailure(source, () =>
    withCall({ ...target, operation: "put", budget }, checked, async (call) => {
      const { envelope, encoder } = await newMessage(config, source, context, call.signal);
      const Metadata = joinLegacyMetadata(userMetadata, envelope);
      // With an instruction file, the metadata of V2 has neither: then a lost response leaves the outcome unknown.
      const commit = new ConfirmedWrite(suite.commits ? legacyNames.messageId : legacyNames.iv);
      const write = { put: { ...put, Metadata }, target, call, commit };
      return withInstructionFile(config, write, envelope.instructions, () =>
        sendBody(config, write, source, encoder),
      );
    }),
  );
}
