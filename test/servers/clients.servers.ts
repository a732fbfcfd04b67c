/** Clients of other languages against the in-process S3 and KMS: awscli, s3cmd and boto3 do their daily work. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";

const run = promisify(execFile);
const { programs = "", missing } = inject("clients");
/** Large enough that awscli and s3cmd (15 MB) upload it in parts. */
const large = randomBytes(20 * 1024 * 1024);

describe.skipIf(missing !== undefined)(`clients of other languages${missing ? ` (${missing})` : ""}`, () => {
  let aws: LocalAws;
  let folder: string;
  beforeAll(async () => {
    aws = await startLocalAws({ buckets: ["first-bucket"] });
    folder = mkdtempSync(join(tmpdir(), "s3-envelope-clients-"));
    mkdirSync(join(folder, "tree", "sub"), { recursive: true });
    writeFileSync(join(folder, "large"), large);
    writeFileSync(join(folder, "tree", "a"), "first\n");
    writeFileSync(join(folder, "tree", "sub", "b ü"), "second\n");
  });
  afterAll(async () => {
    await aws.close();
    rmSync(folder, { recursive: true });
  });

  const settings = () => {
    const { credentials, region, endpoint } = aws.s3Config;
    return {
      PATH: process.env.PATH,
      HOME: folder,
      LC_ALL: "C.UTF-8",
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_DEFAULT_REGION: region,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_ENDPOINT_URL_KMS: aws.kmsConfig.endpoint,
      AWS_EC2_METADATA_DISABLED: "true",
    };
  };

  /** Runs a program to its end and returns its output. Rejects if it fails. */
  async function output(program: string, args: string[]): Promise<string> {
    const { stdout } = await run(join(programs, program), args, { cwd: folder, env: settings() });
    return stdout;
  }

  /** The operations that a run of a program requested, each once. */
  async function operationsOf(act: () => Promise<unknown>): Promise<string[]> {
    aws.clearRequests();
    await act();
    return [...new Set(aws.requests.map(({ operation }) => operation))];
  }

  describe("awscli", () => {
    const cli = (...args: string[]) => output("aws", args);
    const bucket = "s3://cli-bucket";

    it("makes a bucket, copies to it and back in parts, with an ACL that changes nothing", async () => {
      await cli("s3", "mb", bucket);
      const acl = ["--acl", "bucket-owner-full-control", "--only-show-errors"];
      const operations = await operationsOf(() => cli("s3", "cp", "large", `${bucket}/large`, ...acl));
      expect(operations).toEqual(["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]);
      await cli("s3", "cp", `${bucket}/large`, "back", "--only-show-errors");
      expect(readFileSync(join(folder, "back")).equals(large)).toBe(true);
      await cli("s3", "cp", `${bucket}/large`, "s3://first-bucket/copied", "--only-show-errors");
      expect(await cli("s3", "ls", "s3://first-bucket")).toMatch(/ 20971520 copied\n$/);
    });

    it("syncs a folder, and nothing the second time", async () => {
      const sync = () => cli("s3", "sync", "tree", `${bucket}/tree`, "--acl", "private", "--no-progress");
      expect((await sync()).split("\n").filter((line) => line.startsWith("upload:"))).toHaveLength(2);
      expect(await sync()).toBe("");
      const listed = await cli("s3", "ls", "--recursive", `${bucket}/tree`);
      expect(listed.match(/tree\/.*$/gm)).toEqual(["tree/a", "tree/sub/b ü"]);
    });

    it("presigns a URL that reads", async () => {
      const url = (await cli("s3", "presign", `${bucket}/tree/a`)).trim();
      expect(await (await fetch(url)).text()).toBe("first\n");
    });

    it("asks KMS for a key with tags, a data key under an alias, and opens it", async () => {
      const key: unknown = JSON.parse(await cli("kms", "create-key", "--tags", "TagKey=a,TagValue=b"));
      const { KeyMetadata } = key as { KeyMetadata: { KeyId: string } };
      const alias = ["--alias-name", "alias/cli", "--target-key-id", KeyMetadata.KeyId];
      await cli("kms", "create-alias", ...alias);
      const context = ["--encryption-context", "tenant=7"];
      const made = ["generate-data-key", "--key-id", "alias/cli", "--key-spec", "AES_256", ...context];
      const { Plaintext, CiphertextBlob } = JSON.parse(await cli("kms", ...made)) as Record<string, string>;
      writeFileSync(join(folder, "wrapped"), Buffer.from(CiphertextBlob ?? "", "base64"));
      const opened = await cli("kms", "decrypt", "--ciphertext-blob", "fileb://wrapped", ...context);
      expect((JSON.parse(opened) as Record<string, string>).Plaintext).toBe(Plaintext);
    });

    it("is told by its name what is not here", async () => {
      const refused = cli("s3api", "get-bucket-acl", "--bucket", "cli-bucket");
      await expect(refused).rejects.toThrow("GetBucketAcl is not implemented here.");
    });

    it("removes a folder, and a bucket with what is in it", async () => {
      await cli("s3", "rm", "--recursive", `${bucket}/tree`, "--only-show-errors");
      expect(await cli("s3", "ls", `${bucket}/`)).toMatch(/^.* large\n$/);
      await cli("s3", "rb", "--force", bucket);
      expect(await cli("s3", "ls")).not.toContain("cli-bucket");
    });
  });

  describe("s3cmd", () => {
    const cmd = (...args: string[]) => {
      const { host } = new URL(aws.s3Config.endpoint);
      const { accessKeyId, secretAccessKey } = aws.s3Config.credentials;
      return output("s3cmd", [
        `--host=${host}`,
        `--host-bucket=${host}`,
        "--no-ssl",
        `--access_key=${accessKeyId}`,
        `--secret_key=${secretAccessKey}`,
        `--region=${aws.s3Config.region}`,
        "--config=/dev/null",
        "--no-progress",
        ...args,
      ]);
    };
    const bucket = "s3://cmd-bucket";

    it("makes a bucket, puts in parts and gets", async () => {
      await cmd("mb", bucket);
      const operations = await operationsOf(() => cmd("put", "--acl-private", "large", `${bucket}/large`));
      expect(operations).toContain("UploadPart");
      await cmd("get", "--force", `${bucket}/large`, "back-again");
      expect(readFileSync(join(folder, "back-again")).equals(large)).toBe(true);
    });

    it("syncs a folder, lists it by the first version of the listing, moves and describes", async () => {
      await cmd("sync", "tree/", `${bucket}/tree/`);
      let listed = "";
      const operations = await operationsOf(async () => {
        listed = await cmd("ls", "-r", `${bucket}/tree/`);
      });
      expect(operations).toContain("ListObjects");
      expect(listed.match(/s3:.*$/gm)).toEqual([`${bucket}/tree/a`, `${bucket}/tree/sub/b ü`]);
      await cmd("mv", `${bucket}/tree/a`, `${bucket}/moved`);
      await cmd("modify", "--add-header=x-amz-meta-colour:blue", `${bucket}/moved`);
      expect(await cmd("info", `${bucket}/moved`)).toContain("x-amz-meta-colour: blue");
    });

    it("removes all", async () => {
      await cmd("del", "--recursive", "--force", bucket);
      await cmd("rb", bucket);
      expect(await cmd("ls")).not.toContain("cmd-bucket");
    });
  });

  describe("boto3", () => {
    const script = fileURLToPath(new URL("boto3_checks.py", import.meta.url));
    it.each(["transfers", "listings", "versions", "deletions", "keys"])("%s", async (check) => {
      expect(await output("python", [script, check])).toBe("done\n");
    });
  });
});
