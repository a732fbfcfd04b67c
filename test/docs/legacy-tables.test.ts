import { describe, expect, it } from "vitest";
import { fieldsArgument } from "../../src/fields/field-list.js";
import { legacyFieldNames } from "../../src/fields/legacy-field-names.js";
import { errorCodes } from "../../src/index.js";
import * as legacy from "../../src/legacy.js";
import { commitmentPolicies } from "../../src/s3ec/policy.js";
import { wraps } from "../../src/s3ec/suites.js";
import { readingArguments } from "../../src/s3ec-objects/read/reading-options.js";
import { documentText } from "../support/document-blocks.js";
import { kek } from "../support/legacy-objects.js";

const reading = documentText("docs/guides/legacy-objects.md");
const writing = documentText("docs/guides/legacy-writing.md");
const encryptionSdk = documentText("docs/guides/encryption-sdk.md");

/** The rows of the table whose head begins so, cell by cell. */
function table(text: string, head: string): string[][] {
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

describe("the tables of the guides to legacy objects", () => {
  it("list each option of legacy reading and no other", () => {
    const options = [
      ...fieldsOf("src/s3ec/policy.ts", "LegacyPolicy"),
      ...fieldsOf("src/s3ec-objects/read/reading-options.ts", "LegacyReadingOptions"),
    ].filter((name) => name !== "keyring");
    const listed = table(reading, "Option").map(([option]) => optionName(option));
    expect([...listed].sort()).toEqual([...options].sort());
  });

  it("state the defaults of legacy reading", () => {
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
    const stated = table(reading, "Option").map(([option, value]) => [optionName(option), stating(value)]);
    expect(Object.fromEntries(stated)).toEqual(actual);
  });

  it("list each option for messages of the AWS Encryption SDK and no other", () => {
    const listed = table(encryptionSdk, "Option").map(([option]) => optionName(option));
    const options = fieldsOf("src/encryption-sdk/decrypt-message.ts", "EncryptionSdkOptions");
    expect(listed.sort()).toEqual(options.filter((name) => name !== "keyring").sort());
  });

  it("list each commitment policy", () => {
    const listed = table(writing, "`commitmentPolicy`").map(([policy]) => stating(policy));
    expect(listed.sort()).toEqual([...commitmentPolicies].sort());
  });

  it("list each wrap with its code", () => {
    const cells = table(reading, "Format")
      .map(([, , wrap]) => wrap)
      .join(" ");
    for (const { name, code } of Object.values(wraps)) {
      expect(cells, name).toContain(`\`${name}\``);
      if (code !== undefined) expect(cells, code).toContain(`\`${code}\` ${name}`);
    }
  });

  it("name existing error codes, and all that begin with LEGACY", () => {
    const listed = table(reading, "Code").map(([code]) => stating(code));
    expect(errorCodes).toEqual(expect.arrayContaining(listed));
    for (const code of errorCodes.filter((code) => code.startsWith("LEGACY_")))
      expect(listed).toContain(code);
  });
});
