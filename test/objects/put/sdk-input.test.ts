import { expect, it } from "vitest";
import { testBytes } from "../../support/bytes.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();

it("put and delete send no option of this package to S3, for any size of the body and place of the envelope", async () => {
  const inputs = new Map<string, object>();
  const s3 = Object.create(local.s3, {
    send: {
      value: (command: { input: object }, options: object) => {
        inputs.set(`${inputs.size} ${command.constructor.name}`, command.input);
        return local.s3.send(command as never, options);
      },
    },
  });
  const client = local.clientWith({ s3, partSizeBytes: partBytes });
  for (const [Key, envelopeStorage, bytes] of [
    ["small", "metadata", 10],
    ["large", "sidecar", partBytes],
  ] as const) {
    const encryptionContext = { tenant: "42" };
    await client.put({ Bucket, Key, Body: testBytes(bytes), encryptionContext, envelopeStorage });
    await client.delete({ Bucket, Key, envelopeStorage });
  }
  const names = [...inputs.keys()].map((name) => name.slice(name.indexOf(" ") + 1));
  expect(new Set(names)).toEqual(
    new Set([
      "PutObjectCommand",
      "CreateMultipartUploadCommand",
      "UploadPartCommand",
      "CompleteMultipartUploadCommand",
      "HeadObjectCommand",
      "DeleteObjectCommand",
    ]),
  );
  for (const [name, input] of inputs) {
    expect(
      Object.keys(input).filter((field) => !/^[A-Z]/.test(field)),
      name,
    ).toEqual([]);
  }
});
