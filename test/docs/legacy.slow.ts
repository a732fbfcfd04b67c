import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KMS, KmsKeyringNode } from "@aws-crypto/client-node";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeAll, describe, expect, it } from "vitest";
import { fieldsArgument } from "../../src/fields/field-list.js";
import { legacyFieldNames } from "../../src/fields/legacy-field-names.js";
import { ciphertextLength, errorCodes } from "../../src/index.js";
import * as legacy from "../../src/legacy.js";
import { commitmentPolicies } from "../../src/s3ec/policy.js";
import { wraps } from "../../src/s3ec/suites.js";
import { readingArguments } from "../../src/s3ec-objects/read/reading-options.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { blocksOf, documentText, useBlockRunner } from "../support/document-blocks.js";
import { writeMessage } from "../support/encryption-sdk.js";
import { kek, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { readS3ec } from "../support/s3ec.js";
import { sesMail, storeSesMail } from "../support/ses-mail.js";

const Bucket = "my-bucket";
const text = documentText("docs/legacy.md");
// The block of migrateObject runs from the moment that there is such a function.
const blocks = blocksOf("docs/legacy.md").filter(
  ([, code]) => "migrateObject" in legacy || !code.includes("migrateObject"),
);
const runner = useBlockRunner();
const context = { tenant: "42" };
const report = testBytes(300_000, 8);
const placeholderArn = /arn:aws:kms:eu-west-1:111122223333:key\/[0-9a-f-]+/;

const put = (Key: string, Body: Uint8Array, Metadata?: Record<string, string>) =>
  runner.aws.s3.send(new PutObjectCommand({ Bucket, Key, Body, ...(Metadata && { Metadata }) }));

/** An object as S3 has it. */
async function stored(Key: string) {
  const { Body, Metadata = {} } = await runner.aws.s3.send(new GetObjectCommand({ Bucket, Key }));
  return { bytes: Buffer.from((await Body?.transformToByteArray()) ?? []), metadata: Metadata };
}

beforeAll(async () => {
  const { aws, keyArn, work } = runner;
  const kms = { client: aws.kms, keyId: keyArn };
  const shape = { format: "V3", content: "115", wrap: "kms+context" } as const;
  const java = await writeLegacy(Buffer.from("hello from Java"), shape, { kms, context });
  for (const Key of ["from-java", "to-migrate"]) await put(Key, java.body, java.metadata);
  await storeSesMail(aws, keyArn, Bucket, "inbound/mail");
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

describe("code blocks of docs/legacy.md", () => {
  it.each(blocks)("%s runs", async (_, code) => {
    const stdout = await runner.run(code.replace(placeholderArn, runner.keyArn));
    if (code.includes('"from-java"')) expect(stdout).toBe("hello from Java V3\n");
    if (code.includes("decryptSesMail")) expect(stdout).toBe(`${sesMail}\n`);
    if (code.includes("decryptLegacyObject")) expect(stdout).toBe("hello from a file\n");
    if (code.includes('"for-java"')) {
      const key = { kms: runner.aws.kms, keyId: runner.keyArn };
      expect((await readS3ec(await stored("for-java"), key)).toString()).toBe("shared");
    }
    if (code.includes("reEncryptInstructionFile")) {
      const { bytes } = await stored("rotated.instruction");
      expect(JSON.parse(bytes.toString())["x-amz-m"]).toBe('{"year":"2026"}');
    }
    if (code.includes("migrateObject")) {
      expect(stdout).toBe("V3 true\n");
      const { bytes, metadata } = await stored("to-migrate");
      expect(bytes).toHaveLength(ciphertextLength("hello from Java".length));
      expect(Object.keys(metadata).filter((name) => name.startsWith("x-amz-"))).toEqual([]);
    }
    if (code.includes("decryptEncryptionSdkMessage")) {
      expectBytes(readFileSync(join(runner.work, "from-esdk.bin")), report);
    }
  });

  it("type-check as written", () => runner.typeCheck(blocks.map(([, code]) => code)));
});

/** The rows of the table whose head begins so, cell by cell. */
function table(head: string): string[][] {
  const rows = text.slice(text.indexOf(`\n| ${head} |`) + 1).split("\n");
  const end = rows.findIndex((row) => !row.startsWith("|"));
  expect(end, head).toBeGreaterThan(2);
  const cells = (row: string) => row.split(/(?<!\\)\|/).slice(1, -1);
  return rows.slice(2, end).map((row) => cells(row).map((cell) => cell.trim()));
}

/** The names of the fields of an interface. */
function fieldsOf(file: string, name: string): string[] {
  const [, body = ""] =
    new RegExp(`export interface ${name}\\b.*?\\{\\n(.*?)\\n\\}`, "s").exec(documentText(file)) ?? [];
  const fields = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field = ""]) => field);
  expect(fields, name).not.toEqual([]);
  return fields;
}

const optionName = (cell = "") => /^`(\w+)/.exec(cell)?.[1] ?? "";
const stating = (cell = "") => /`([^`]+)`/.exec(cell)?.[1] ?? cell;

describe("tables of docs/legacy.md", () => {
  it("have each option of legacy reading, and no other", () => {
    const options = [
      ...fieldsOf("src/s3ec/policy.ts", "LegacyPolicy"),
      ...fieldsOf("src/s3ec-objects/read/reading-options.ts", "LegacyReadingOptions"),
    ].filter((name) => name !== "keyring");
    const listed = table("Option").map(([option]) => optionName(option));
    expect([...listed].sort()).toEqual([...options].sort());
  });

  it("state the defaults that legacy reading has", () => {
    const keyring = legacy.legacyAesKeyring({ wrappingKey: kek });
    const argumentsOf = (options: legacy.LegacyReadingOptions) =>
      readingArguments(
        fieldsArgument<legacy.LegacyReadingOptions>(legacyFieldNames.legacyReading.options, options),
      );
    const defaults = argumentsOf({ keyring });
    const toFile = argumentsOf({ keyring, largeObjects: "temporary-file" });
    const noFile = argumentsOf({ keyring, disableInstructionFile: true });
    const { commitmentPolicy, ...flags } = defaults.policy;
    const actual: Record<string, string> = {
      commitmentPolicy: JSON.stringify(commitmentPolicy),
      enableLegacyWrappingAlgorithms: String(flags.enableLegacyWrappingAlgorithms),
      enableLegacyUnauthenticatedModes: String(flags.enableLegacyUnauthenticatedModes),
      maxBufferedObjectBytes: `${defaults.maxBufferedObjectBytes / 1024 / 1024} MiB`,
      largeObjects: defaults.temporaryDirectory === undefined ? '"refuse"' : '"temporary-file"',
      temporaryDirectory: toFile.temporaryDirectory === undefined ? "none" : "that of the system",
      releaseUnverifiedPlaintext: String(defaults.releaseUnverifiedPlaintext),
      instructionFileSuffix: JSON.stringify(defaults.instructionFileSuffix),
      disableInstructionFile: String(
        defaults.instructionFileSuffix === undefined && noFile.instructionFileSuffix === undefined,
      ),
      contentAad: defaults.contentAad === undefined ? "none" : "some",
      enableCbcRewrappedByJava: String(defaults.enableCbcRewrappedByJava),
    };
    const stated = table("Option").map(([option, value]) => [optionName(option), stating(value)]);
    expect(Object.fromEntries(stated)).toEqual(actual);
  });

  it("have each option for messages of the AWS Encryption SDK, and no other", () => {
    const [, , after = ""] = text.split(/^\| Option \|/m);
    const listed = [...after.matchAll(/^\| `(\w+)/gm)].map(([, name = ""]) => name);
    const options = fieldsOf("src/encryption-sdk/decrypt-message.ts", "EncryptionSdkOptions");
    expect(listed.sort()).toEqual(options.filter((name) => name !== "keyring").sort());
  });

  it("have each commitment policy", () => {
    const listed = table("`commitmentPolicy`").map(([policy]) => stating(policy));
    expect(listed.sort()).toEqual([...commitmentPolicies].sort());
  });

  it("have each wrap, with its code", () => {
    const cells = table("Format")
      .map(([, , wrap]) => wrap)
      .join(" ");
    for (const { name, code } of Object.values(wraps)) {
      expect(cells, name).toContain(`\`${name}\``);
      if (code !== undefined) expect(cells, code).toContain(`\`${code}\` ${name}`);
    }
  });

  it("name codes of errors that there are", () => {
    const listed = table("Code").map(([code]) => stating(code));
    expect(errorCodes).toEqual(expect.arrayContaining(listed));
    for (const code of errorCodes.filter((code) => code.startsWith("LEGACY_")))
      expect(listed).toContain(code);
  });
});

it("links of docs/legacy.md lead somewhere, within it as well", () => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-");
  const headings = (document: string) =>
    [...document.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => slug(heading));
  for (const [, file = "", anchor = ""] of text.matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)) {
    const path = join("docs", file === "" ? "legacy.md" : file);
    expect(existsSync(new URL(`../../${path}`, import.meta.url)), path).toBe(true);
    if (anchor !== "") expect(headings(documentText(path)), `${path}#${anchor}`).toContain(anchor);
  }
});
