/**
 * Every request to AWS KMS: one function for each operation, which builds its command. All of them pass through
 * {@link send}, the one place that guards responses, maps errors and observes the signal. `@aws-sdk/client-kms` is loaded
 * with the first request.
 */
import type {
  $Command as Command,
  DecryptCommandInput,
  DecryptCommandOutput,
  GenerateDataKeyCommandInput,
  GenerateDataKeyCommandOutput,
  KMSClient,
  KMSClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from "@aws-sdk/client-kms";
import { withOwnSignal } from "../../base/abort.js";
import { guarded } from "../../service/response-guard.js";
import { type KmsTarget, kmsError } from "./errors.js";

/** Sends GenerateDataKey. */
export async function sendGenerateDataKey(
  kms: KMSClient,
  target: KmsTarget,
  input: GenerateDataKeyCommandInput,
  abortSignal: AbortSignal | undefined,
): Promise<GenerateDataKeyCommandOutput> {
  const { GenerateDataKeyCommand } = await import("@aws-sdk/client-kms");
  return send(kms, target, new GenerateDataKeyCommand(input), abortSignal);
}

/** Sends Decrypt. */
export async function sendDecrypt(
  kms: KMSClient,
  target: KmsTarget,
  input: DecryptCommandInput,
  abortSignal: AbortSignal | undefined,
): Promise<DecryptCommandOutput> {
  const { DecryptCommand } = await import("@aws-sdk/client-kms");
  return send(kms, target, new DecryptCommand(input), abortSignal);
}

/**
 * Sends a command. All requests to KMS pass through this function.
 *
 * @throws EnvelopeError with the SDK's error, without what it holds of a response, as its cause; the reason of the signal
 */
async function send<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
  kms: KMSClient,
  target: KmsTarget,
  command: Command<I, O, KMSClientResolvedConfig>,
  abortSignal: AbortSignal | undefined,
): Promise<O> {
  abortSignal?.throwIfAborted();
  guarded(command);
  const attempt = (options: { abortSignal?: AbortSignal }) => kms.send(command, options);
  try {
    if (!abortSignal) return await attempt({});
    return await withOwnSignal(abortSignal, (own) => attempt({ abortSignal: own }));
  } catch (error) {
    abortSignal?.throwIfAborted();
    throw kmsError(error, target);
  }
}
