import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { expectBytes } from "../support/bytes.js";
import { blocksOf, documentText, useBlockRunner } from "../support/document-blocks.js";
import { sesMail, storeSesMail } from "../support/ses-mail.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const blocks = blocksOf("README.md", "docs/errors.md", "docs/testing.md", "docs/performance.md");
const runner = useBlockRunner();
const dump = randomBytes(100_000);

beforeAll(async () => {
  writeFileSync(join(runner.work, "dump.tar"), dump);
  await storeSesMail(runner.aws, runner.keyArn, "my-bucket", "inbound/mail");
});

describe("code blocks of the documents", () => {
  it("are all found", () => expect(blocks.length).toBeGreaterThanOrEqual(5));

  it.each(blocks)("%s runs", async (_, code) => {
    const stdout = await runner.run(code);
    const written = (file: string) => readFileSync(join(runner.work, file));
    if (code.includes("envelope.download")) expectBytes(written("dump.downloaded.tar"), dump);
    if (code.includes("transformToByteArray")) {
      expect(stdout).toBe(`100000 100000\nbytes 99488-99999/100000 ${dump.subarray(-512).toString("hex")}\n`);
    }
    if (code.includes("aws.requests"))
      expect(stdout).toBe("[ 'CreateKey', 'GenerateDataKey', 'PutObject' ]\n");
    if (code.includes("envelope.open"))
      expect(stdout).toBe("abcdefgh abcdefgh efghabcd\nbytes 16-23/1000000 abcdefgh\n");
    if (code.includes("dump.back")) expectBytes(written("dump.back"), dump);
    if (code.includes("BODY_INTERRUPTED")) expect(stdout).toBe("BODY_INTERRUPTED\n");
    if (code.includes("decryptSesMail")) expect(stdout).toBe(`${sesMail}\n`);
  });

  it("type-check as written", () => runner.typeCheck(blocks.map(([, code]) => code)));

  it("links lead somewhere", () => {
    for (const document of [
      "README.md",
      "CONTRIBUTING.md",
      "docs/format.md",
      "docs/errors.md",
      "docs/decisions.md",
      "docs/threat-model.md",
      "docs/testing.md",
      "docs/performance.md",
      "docs/compatibility.md",
      "docs/legacy.md",
      "docs/guides/web-frameworks.md",
    ]) {
      const text = documentText(document);
      for (const [, target = ""] of text.matchAll(/\]\(((?!https?:|#)[^)#]+)/g)) {
        expect(existsSync(join(root, document, "..", target)), `${document}: ${target}`).toBe(true);
      }
    }
  });
});
