import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The test runs against the latest build. */
const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-esdk-"));

beforeAll(() => {
  cpSync(dist, join(folder, "dist"), { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("without @aws-crypto/client-node", () => {
  it("without @aws-crypto/client-node the library loads, and the first call names the package to install", () => {
    writeFileSync(
      join(folder, "main.js"),
      `import { decryptEncryptionSdkMessage } from "./dist/encryption-sdk/decrypt-message.js";
const source = { closed: false, [Symbol.asyncIterator]() { return this; }, async next() { throw new Error("read"); },
  async return() { this.closed = true; return { done: true }; } };
const error = await decryptEncryptionSdkMessage(source, { keyring: { onDecrypt() {} } }).catch((e) => e);
await new Promise(setImmediate);
console.log(JSON.stringify([error.name, error.message, error.cause.code, source.closed]));`,
    );
    const output = execFileSync(process.execPath, ["main.js"], { cwd: folder, encoding: "utf8" });
    expect(JSON.parse(output)).toEqual([
      "TypeError",
      "options.keyring: messages of the AWS Encryption SDK need its package: npm install @aws-crypto/client-node@^5.0.1",
      "ERR_MODULE_NOT_FOUND",
      true,
    ]);
  });

  it("the type declarations do not need @aws-crypto/client-node", () => {
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(file, "utf8");
      for (const [, specifier = ""] of text.matchAll(/(?:from\s+|import\()"([^"]+)"/g)) {
        expect(specifier).not.toContain("@aws-crypto");
        if (specifier.startsWith(".")) visit(join(file, "..", specifier.replace(/\.js$/, ".d.ts")));
      }
    };
    visit(join(dist, "encryption-sdk/decrypt-message.d.ts"));
    expect(seen.size).toBeGreaterThan(2);
  });
});
