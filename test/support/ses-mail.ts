/** A mail as Amazon SES stores it encrypted, for documents that read one. */
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { LocalAws } from "../../src/testing/index.js";
import { writeLegacy } from "./legacy-objects.js";

/** Its text. */
export const sesMail = "From: a@example.com\r\nTo: b@example.com\r\nSubject: café\r\n\r\nhello\r\n";

/** Stores it as the S3 action of SES does. */
export async function storeSesMail(aws: LocalAws, keyId: string, Bucket: string, Key: string): Promise<void> {
  const { body, metadata } = await writeLegacy(
    Buffer.from(sesMail),
    { format: "V2", content: "gcm", wrap: "kms" },
    {
      kms: { client: aws.kms, keyId },
      context: {
        "aws:ses-message-id": "l3vg1n7bhg3kq2c0example",
        "aws:ses-rule-name": "store",
        "aws:ses-source-account": "111122223333",
      },
    },
  );
  await aws.s3.send(new PutObjectCommand({ Bucket, Key, Body: body, Metadata: metadata }));
}
