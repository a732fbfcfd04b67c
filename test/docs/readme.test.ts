import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CreateAliasCommand, CreateKeyCommand } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { expectBytes } from "../support/bytes.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const blocks = ["README.md", "docs/errors.md", "docs/testing.md", "docs/performance.md"].flatMap((file) => {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map((match, index) => [
    `${file}, block ${index + 1}`,
    match[1] ?? "",
  ]);
});
// Inside the project, so that the blocks find the packages.
const folder = mkdtempSync(join(root, ".tmp-readme-"));
const work = mkdtempSync(join(tmpdir(), "s3-envelope-readme-"));
const dump = randomBytes(100_000);
let aws: LocalAws;

beforeAll(async () => {
  aws = await startLocalAws({ buckets: ["my-bucket"] });
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
  await aws.kms.send(new CreateAliasCommand({ AliasName: "alias/backups", TargetKeyId: KeyMetadata?.KeyId }));
  writeFileSync(join(work, "dump.tar"), dump);
});
afterAll(async () => {
  await aws.close();
  rmSync(folder, { recursive: true });
  rmSync(work, { recursive: true });
});

/** Runs a block as a user would: against the built package, with the AWS of the environment. */
async function run(code: string): Promise<{ stdout: string; stderr: string; status: number | null }> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.mts`);
  writeFileSync(file, code.replaceAll("new S3Client()", "new S3Client({ forcePathStyle: true })"));
  const { credentials, region } = aws.s3Config;
  const env = {
    ...process.env,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: aws.s3Config.endpoint,
    AWS_ENDPOINT_URL_KMS: aws.kmsConfig.endpoint,
  };
  const { spawn } = await import("node:child_process");
  const tsx = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
  const child = spawn(process.execPath, ["--import", tsx, file], {
    cwd: work,
    env: { ...env, TSX_TSCONFIG_PATH: join(root, "src/tsconfig.json") },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { stdout, stderr, status };
}

describe("code blocks of the documents", () => {
  it("are all found", () => expect(blocks.length).toBeGreaterThanOrEqual(5));

  it.each(blocks)("%s runs", async (_, code) => {
    const { stdout, stderr, status } = await run(code);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    if (code.includes("envelope.download"))
      expectBytes(readFileSync(join(work, "dump.downloaded.tar")), dump);
    if (code.includes("transformToByteArray")) {
      expect(stdout).toBe(`100000 100000\nbytes 99488-99999/100000 ${dump.subarray(-512).toString("hex")}\n`);
    }
    if (code.includes("aws.requests"))
      expect(stdout).toBe("[ 'CreateKey', 'GenerateDataKey', 'PutObject' ]\n");
    if (code.includes("envelope.open"))
      expect(stdout).toBe("abcdefgh abcdefgh efghabcd\nbytes 16-23/1000000 abcdefgh\n");
    if (code.includes("dump.back")) expectBytes(readFileSync(join(work, "dump.back")), dump);
    if (code.includes("BODY_INTERRUPTED")) expect(stdout).toBe("BODY_INTERRUPTED\n");
  });

  it("type-check as written", () => {
    const files = blocks.map(([, code], index) => {
      const file = join(folder, `check-${index}.ts`);
      writeFileSync(file, `${code}\nexport {};\n`);
      return file;
    });
    const config = join(folder, "tsconfig.json");
    const options = {
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: {},
      types: ["node"],
      typeRoots: [join(root, "node_modules/@types")],
    };
    writeFileSync(
      config,
      JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions: options, files, include: [] }),
    );
    const check = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", config], {
      encoding: "utf8",
    });
    expect(check.stdout).toBe("");
    expect(check.status).toBe(0);
  });

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
    ]) {
      const text = readFileSync(join(root, document), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\(((?!https?:|#)[^)#]+)/g)) {
        expect(existsSync(join(root, document, "..", target)), `${document}: ${target}`).toBe(true);
      }
    }
  });
});
