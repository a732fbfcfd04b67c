/** The code blocks of all documents, run and type-checked as they are written. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KMS, KmsKeyringNode } from "@aws-crypto/client-node";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeAll, expect, it } from "vitest";
import { ciphertextLength } from "../../src/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { allDocuments, blocksOf, useBlockRunner } from "../support/document-blocks.js";
import { writeMessage } from "../support/encryption-sdk.js";
import { kek, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { readS3ec } from "../support/s3ec.js";
import { sesMail, storeSesMail } from "../support/ses-mail.js";

const Bucket = "my-bucket";
/** Run behind real servers by web-frameworks.slow.ts. */
const webFrameworks = "docs/guides/web-frameworks.md";
const documents = allDocuments().filter((file) => file !== webFrameworks);
const blocks = blocksOf(...documents);
const runner = useBlockRunner();
const dump = randomBytes(100_000);
const report = testBytes(300_000, 8);
const context = { tenant: "42" };
const placeholderArn = /arn:aws:kms:eu-west-1:111122223333:key\/[0-9a-f-]+/;

const put = (Key: string, Body: Uint8Array, Metadata?: Record<string, string>) =>
  runner.aws.s3.send(new PutObjectCommand({ Bucket, Key, Body, ...(Metadata && { Metadata }) }));

async function stored(Key: string) {
  const { Body, Metadata = {} } = await runner.aws.s3.send(new GetObjectCommand({ Bucket, Key }));
  return { bytes: Buffer.from((await Body?.transformToByteArray()) ?? []), metadata: Metadata };
}

const written = (file: string) => readFileSync(join(runner.work, file));

/** What a block must have printed or done; blocks that are not listed must only succeed. */
const outcomes: Record<string, string | (() => Promise<void> | void)> = {
  "README.md, block 1": "100000 100000\n",
  "README.md, block 2": "bytes 16-23/1000000 abcdefgh\nabcdefgh efghabcd\n",
  "README.md, block 3": () => expectBytes(written("copy-of-dump.tar"), dump),
  "README.md, block 4": "hello from Java V3\n",
  "README.md, block 5": "BODY_INTERRUPTED\n",
  "docs/guides/uploads.md, block 1": "100000 100168\n",
  "docs/guides/downloads-and-ranges.md, block 1":
    "quarter,revenue\n3,1200\n\ntrue 0\nbytes 16-22/23 3,1200\n",
  "docs/guides/downloads-and-ranges.md, block 2": "abcdefgh abcdefgh efghabcd\n",
  "docs/guides/large-files.md, block 3": "0 0\n",
  "docs/guides/keys-and-contexts.md, block 1": "[ 'CONTEXT_MISMATCH', [ 'tenant' ] ]\n",
  "docs/guides/keys-and-contexts.md, block 3": "a context that is larger than the 2 KB of metadata\n",
  "docs/guides/streams-without-s3.md, block 1": () => expectBytes(written("dump.back"), dump),
  "docs/guides/streams-without-s3.md, block 2": "hello\n77\n",
  "docs/guides/streams-without-s3.md, block 3": "true\n100000 abcdefgh\n",
  "docs/guides/errors-and-retries.md, block 1": "hello\n",
  "docs/guides/errors-and-retries.md, block 2": "3000000\n",
  "docs/guides/testing-offline.md, block 1": "[ 'CreateKey', 'GenerateDataKey', 'PutObject' ]\n",
  "docs/guides/ses-mail.md, block 1": `${sesMail}\n`,
  "docs/guides/ses-mail.md, block 3": "true V2\n",
  "docs/guides/legacy-objects.md, block 1": "hello from Java V3\n",
  "docs/guides/legacy-objects.md, block 2": "hello from a file\n",
  "docs/guides/legacy-writing.md, block 1": async () => {
    const key = { kms: runner.aws.kms, keyId: runner.keyArn };
    expect((await readS3ec(await stored("for-java"), key)).toString()).toBe("shared");
  },
  "docs/guides/legacy-writing.md, block 2": async () => {
    const { bytes } = await stored("rotated.instruction");
    expect(JSON.parse(bytes.toString())["x-amz-m"]).toBe('{"year":"2026"}');
  },
  "docs/guides/migrating.md, block 1": async () => {
    const { bytes, metadata } = await stored("to-migrate");
    expect(bytes).toHaveLength(ciphertextLength("hello from Java".length));
    expect(Object.keys(metadata).filter((name) => name.startsWith("x-amz-"))).toEqual([]);
  },
  "docs/guides/encryption-sdk.md, block 1": () => expectBytes(written("from-esdk.bin"), report),
};

beforeAll(async () => {
  const { aws, keyArn, work } = runner;
  writeFileSync(join(work, "dump.tar"), dump);
  await storeSesMail(aws, keyArn, Bucket, "inbound/mail");
  const kms = { client: aws.kms, keyId: keyArn };
  const shape = { format: "V3", content: "115", wrap: "kms+context" } as const;
  const java = await writeLegacy(Buffer.from("hello from Java"), shape, { kms, context });
  for (const Key of ["from-java", "to-migrate"]) await put(Key, java.body, java.metadata);
  const file = await writeLegacy(Buffer.from("hello from a file"), localShapes["115"]);
  writeFileSync(join(work, "object.bin"), file.body);
  const head = { ContentLength: file.body.length, Metadata: file.metadata };
  writeFileSync(join(work, "head-object.json"), JSON.stringify(head));
  writeFileSync(join(work, "wrapping.key"), kek);
  const client = new KMS(aws.kmsConfig);
  const keyring = new KmsKeyringNode({ clientProvider: () => client, generatorKeyId: keyArn });
  await put("from-esdk", await writeMessage(report, { keyring, encryptionContext: context }));
  client.destroy();
});

it("the documents have the code blocks whose outcome is known", () => {
  const names = blocks.map(([name]) => name);
  expect(names).toEqual(expect.arrayContaining(Object.keys(outcomes)));
});

it.each(blocks)("the code of %s runs", async (name, code) => {
  const stdout = await runner.run(code.replace(placeholderArn, runner.keyArn));
  const outcome = outcomes[name];
  if (typeof outcome === "string") expect(stdout).toBe(outcome);
  else await outcome?.();
});

it("the code blocks of the documents type-check as written", () => {
  runner.typeCheck(blocks.map(([, code]) => code));
});
