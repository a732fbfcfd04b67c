/** What the checks of a KMS have in common. */
import { CreateKeyCommand, type KMSClient } from "@aws-sdk/client-kms";

/** Makes a key; its ARN. */
export async function newKey(kms: KMSClient): Promise<string> {
  return (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? "";
}

/** The id in an ARN: moto's operations that change a key take nothing else. */
export function idOf(arn: string): string {
  return arn.replace(/^.*\//, "");
}
