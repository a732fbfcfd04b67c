/** Helpers for the checks of a KMS. */
import { CreateKeyCommand, type KMSClient } from "@aws-sdk/client-kms";

/** Creates a key and returns its ARN. */
export async function newKey(kms: KMSClient): Promise<string> {
  return (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? "";
}

/** The id in an ARN. Operations of moto that change a key accept nothing else. */
export function idOf(arn: string): string {
  return arn.replace(/^.*\//, "");
}
