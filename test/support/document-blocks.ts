/** Reads the documents, and runs their code blocks as a user would: on the built package, with the AWS of the environment. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CreateAliasCommand, CreateKeyCommand } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, expect } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The documents of a folder and of the folders in it, as paths from the root. */
export function documentsIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(folder, file))
    .sort();
}

/** All documents, as paths from the root. */
export function allDocuments(): string[] {
  const atRoot = readdirSync(root).filter((file) => file.endsWith(".md"));
  return [...atRoot.sort(), ...documentsIn("docs")];
}

/** The text of a document. */
export const documentText = (file: string): string => readFileSync(join(root, file), "utf8");

/** The ```ts blocks of documents, each with a name for its test. */
export function blocksOf(...files: readonly string[]): [name: string, code: string][] {
  return files.flatMap((file) =>
    [...documentText(file).matchAll(/```ts\n(.*?)```/gs)].map((match, index): [string, string] => [
      `${file}, block ${index + 1}`,
      match[1] ?? "",
    ]),
  );
}

/** Runs and type-checks code blocks; see {@link useBlockRunner}. */
export interface BlockRunner {
  /** An in-process AWS with the bucket "my-bucket" and the key "alias/backups". */
  readonly aws: LocalAws;
  /** The ARN of that key. */
  readonly keyArn: string;
  /** The folder that blocks run in. */
  readonly work: string;
  /** Runs a block, asserts that it succeeds and writes nothing to stderr, and returns its stdout. */
  run(code: string): Promise<string>;
  /** Type-checks blocks as they are written. */
  typeCheck(blocks: readonly string[]): void;
}

/** Starts an in-process AWS before the tests of a file and stops it after them. */
export function useBlockRunner(): BlockRunner {
  // Inside the project, so that the blocks find the packages.
  const folder = mkdtempSync(join(root, ".tmp-blocks-"));
  const work = mkdtempSync(join(tmpdir(), "s3-envelope-blocks-"));
  let started: { readonly aws: LocalAws; readonly keyArn: string } | undefined;
  beforeAll(async () => {
    const aws = await startLocalAws({ buckets: ["my-bucket"] });
    const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
    const { KeyId, Arn: keyArn = "" } = KeyMetadata ?? {};
    await aws.kms.send(new CreateAliasCommand({ AliasName: "alias/backups", TargetKeyId: KeyId }));
    started = { aws, keyArn };
  });
  afterAll(async () => {
    await started?.aws.close();
    rmSync(folder, { recursive: true });
    rmSync(work, { recursive: true });
  });
  const local = () => {
    if (!started) throw new Error("the AWS of the blocks has not started");
    return started;
  };
  return {
    get aws() {
      return local().aws;
    },
    get keyArn() {
      return local().keyArn;
    },
    work,
    run: (code) => run(code, folder, work, local().aws),
    typeCheck: (blocks) => typeCheck(blocks, folder),
  };
}

async function run(code: string, folder: string, work: string, aws: LocalAws): Promise<string> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.mts`);
  const pathStyle = (code: string, make: string) =>
    code.replaceAll(`${make}()`, `${make}({ forcePathStyle: true })`);
  writeFileSync(file, pathStyle(pathStyle(code, "new S3Client"), "createS3Client"));
  const { credentials, region } = aws.s3Config;
  const env = {
    ...process.env,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: aws.s3Config.endpoint,
    AWS_ENDPOINT_URL_KMS: aws.kmsConfig.endpoint,
    TSX_TSCONFIG_PATH: join(root, "src/tsconfig.json"),
  };
  const tsx = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
  const child = spawn(process.execPath, ["--import", tsx, file], { cwd: work, env });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout;
}

function typeCheck(blocks: readonly string[], folder: string): void {
  const files = blocks.map((code, index) => {
    const file = join(folder, `check-${index}.ts`);
    writeFileSync(file, `${code}\nexport {};\n`);
    return file;
  });
  const config = join(folder, "tsconfig.json");
  const compilerOptions = {
    noUnusedLocals: false,
    noUnusedParameters: false,
    paths: {},
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
  };
  const project = { extends: join(root, "tsconfig.json"), compilerOptions, files, include: [] };
  writeFileSync(config, JSON.stringify(project));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const check = spawnSync(process.execPath, [tsc, "-p", config], { encoding: "utf8" });
  expect(check.stdout).toBe("");
  expect(check.status).toBe(0);
}
