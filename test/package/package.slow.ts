import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const project = mkdtempSync(join(tmpdir(), "s3-envelope-package-"));
let packed: string[] = [];

/** Runs npm as a user does, without scripts, on the package as it was built. */
function npm(cwd: string, ...args: string[]): string {
  const npmCli = process.env.npm_execpath;
  const [command, first] = npmCli ? [process.execPath, [npmCli]] : ["npm", []];
  return execFileSync(command, [...first, ...args], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}
const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: project, encoding: "utf8" });

beforeAll(() => {
  const [pack] = JSON.parse(npm(root, "pack", "--ignore-scripts", "--json", "--pack-destination", project));
  packed = (pack.files as { path: string }[]).map(({ path }) => path);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "empty", private: true }));
  npm(project, "install", "--offline", "--legacy-peer-deps", "--no-audit", join(project, pack.filename));
  // The peer dependencies, linked from here because a test has no network.
  mkdirSync(join(project, "node_modules/@aws-sdk"), { recursive: true });
  for (const peer of ["@aws-sdk/client-s3", "@aws-sdk/client-kms", "@types"]) {
    symlinkSync(join(root, "node_modules", peer), join(project, "node_modules", peer));
  }
});
afterAll(() => rmSync(project, { recursive: true }));

describe("the package", () => {
  it("holds what it should and nothing else", () => {
    const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts"),
    );
    const built = sources
      .flatMap((file) => [".js", ".js.map", ".d.ts", ".d.ts.map"].map((end) => file.replace(/\.ts$/, end)))
      // The build replaces this file, which then has no source map.
      .filter((file) => file !== "cobblestone/engine/worker-source.js.map");
    const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).filter((file) =>
      /\.(md|svg|ts)$/.test(file),
    );
    const expected = [
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "package.json",
      ...sources.map((file) => `src/${file}`),
      ...built.map((file) => `dist/${file}`),
      ...docs.map((file) => `docs/${file}`),
      // docs/format.md refers to them.
      ...readdirSync(join(root, "test/vectors/native")).map((file) => `test/vectors/native/${file}`),
    ];
    expect([...packed].sort()).toEqual(expected.sort());
  });

  it("installs with no dependency of its own", () => {
    expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
      "@aws-sdk",
      "@types",
      "s3-envelope",
    ]);
  });

  it("imports as ESM", () => {
    writeFileSync(
      join(project, "main.mjs"),
      `import { EnvelopeClient, ciphertextLength } from "s3-envelope";
import { legacyReading } from "s3-envelope/legacy";
import { startLocalAws } from "s3-envelope/testing";
import manifest from "s3-envelope/package.json" with { type: "json" };
console.log(typeof EnvelopeClient, ciphertextLength(0), typeof legacyReading, typeof startLocalAws, manifest.name);`,
    );
    expect(node("--no-warnings", "main.mjs")).toBe("function 72 function function s3-envelope\n");
  });

  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const requires = major > 20 || minor >= 19;
  it.skipIf(!requires)("loads by require() on Node 20.19 and later", () => {
    writeFileSync(
      join(project, "main.cjs"),
      `const { EnvelopeClient } = require("s3-envelope");
const { legacyReading } = require("s3-envelope/legacy");
const { startLocalAws } = require("s3-envelope/testing");
console.log(typeof EnvelopeClient, typeof legacyReading, typeof startLocalAws);`,
    );
    expect(node("--no-warnings", "main.cjs")).toBe("function function function\n");
  });

  it("hides what it does not export", () => {
    writeFileSync(
      join(project, "deep.mjs"),
      'await import("s3-envelope/dist/keys/aes.js").catch((e) => console.log(e.code));',
    );
    expect(node("deep.mjs")).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED\n");
  });

  it("runs without @aws-sdk/client-kms when KMS is not used", () => {
    rmSync(join(project, "node_modules/@aws-sdk/client-kms"));
    try {
      writeFileSync(
        join(project, "no-kms.mjs"),
        `const { aesKeyring } = await import("s3-envelope");
const { legacyAesKeyring } = await import("s3-envelope/legacy");
console.log(typeof aesKeyring, typeof legacyAesKeyring);`,
      );
      expect(node("no-kms.mjs")).toBe("function function\n");
    } finally {
      symlinkSync(
        join(root, "node_modules/@aws-sdk/client-kms"),
        join(project, "node_modules/@aws-sdk/client-kms"),
      );
    }
  });

  it.each([
    ["nodenext", "nodenext", "main.mts"],
    ["nodenext from CommonJS", "nodenext", "main.cts"],
    ["bundler", "esnext", "main.ts"],
  ])("has types under the resolution %s", (resolution, module, file) => {
    writeFileSync(
      join(project, file),
      `import { EnvelopeClient, type GetOutput, kmsKeyring } from "s3-envelope";
import { decryptSesMail, legacyKmsKeyring, legacyReading } from "s3-envelope/legacy";
import { type LocalAws, startLocalAws } from "s3-envelope/testing";
export async function main(mailKey: string): Promise<string> {
  const aws: LocalAws = await startLocalAws();
  const key = { kms: aws.kms, keyId: "alias/x" };
  const legacy = legacyReading({ keyring: legacyKmsKeyring(key) });
  const client = new EnvelopeClient({ s3: aws.s3, keyring: kmsKeyring(key), legacy });
  const mail: Uint8Array = await decryptSesMail({ s3: aws.s3, ...key, Bucket: "b", Key: mailKey });
  const output: GetOutput = await client.get({ Bucket: "b", Key: "k" });
  // @ts-expect-error: what would bypass encryption has no place here
  await client.put({ Bucket: "b", Key: "k", Body: "x", ContentMD5: "x" });
  return mail.length + (await output.Body.transformToString());
}\n`,
    );
    const moduleResolution = resolution.split(" ")[0] ?? "";
    const compilerOptions = {
      module,
      moduleResolution,
      target: "es2022",
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      types: ["node"],
      lib: ["es2023", "esnext.disposable", "dom", "dom.iterable", "dom.asynciterable"],
    };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
    let output = "";
    try {
      node(join(root, "node_modules/typescript/bin/tsc"), "-p", ".");
    } catch (error) {
      output = String((error as { stdout: string }).stdout);
    }
    // Errors inside the AWS SDK's own declarations are not ours.
    expect(
      output
        .split("\n")
        .filter((line) => line !== "" && !/^\S*node_modules\/(@aws-sdk|@smithy|@types)/.test(line)),
    ).toEqual([]);
  });
});
