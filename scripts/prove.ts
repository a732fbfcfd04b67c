/**
 * Proofs at full size: `npm run prove -- <name>`, or without a name for the list. `--tenth` runs a tenth of one, which
 * is what the slow tests do of most. Each checks its own result.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { aesKeyring, createS3Client, EnvelopeClient } from "s3-envelope";
import { startLocalAws } from "s3-envelope/testing";

const root = fileURLToPath(new URL("..", import.meta.url));
const mebibyte = 1024 * 1024;
const Bucket = "test-bucket";

interface Proof {
  readonly proves: string;
  /** At full size. */
  readonly size: string;
  /** Minutes at full size, on two idle cores. */
  readonly minutes: number;
  /** @param scale 1 at full size */
  run(scale: number): Promise<string>;
}

/** A proof by tests that read their size from the environment. */
function byTests(
  environment: (scale: number) => Record<string, string>,
  config: string,
  ...files: readonly string[]
): Proof["run"] {
  return async (scale) => {
    const variables = environment(scale);
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const child = spawn(process.execPath, [vitest, "run", "--config", config, ...files], {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, ...variables },
    });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error("a test failed");
    return Object.entries(variables)
      .map(([name, value]) => `${name}=${value}`)
      .join(" ");
  };
}

const slowConfig = "vitest.slow.config.ts";
const kills = (full: number) => (scale: number) => ({ CRASH_KILLS: `${Math.ceil(full * scale)}` });

const proofs: Readonly<Record<string, Proof>> = {
  "upload-kills": {
    proves: "an upload with a checkpoint resumes after its process, and S3, are killed at random moments",
    size: "100 kills",
    minutes: 4,
    run: byTests(kills(100), slowConfig, "test/crash/upload-crash.slow.ts"),
  },
  "download-kills": {
    proves: "a download resumes after its process, and S3, are killed, and its file is whole",
    size: "100 kills",
    minutes: 4,
    run: byTests(kills(100), slowConfig, "test/crash/download-crash.slow.ts"),
  },
  "store-kills": {
    proves: "the in-process S3 keeps in its folder what it confirmed before it was killed",
    size: "60 kills during writes",
    minutes: 3,
    run: byTests(kills(60), slowConfig, "test/testing/directory-crash.slow.ts"),
  },
  pipes: {
    proves: "60 bodies piped into 60 puts over 50 sockets arrive whole",
    size: "20 MB each",
    minutes: 2,
    run: byTests(
      (scale) => ({ PROOF_PIPE_BYTES: `${20_000_000 * scale}` }),
      slowConfig,
      "test/s3/pipes.slow.ts",
    ),
  },
  fuzz: {
    proves: "every property holds: frames, ranges, metadata, formats, memory",
    size: "100 times the runs of npm test",
    minutes: 30,
    run: byTests((scale) => ({ FUZZ_FACTOR: `${100 * scale}` }), "vitest.config.ts", ...propertyFiles()),
  },
  "large-file": {
    proves: "a file of more than 1,000 parts is uploaded, verified and downloaded",
    size: "1,000 parts of 5 MiB",
    minutes: 3,
    run: (scale) => uploadAndDownload(Math.ceil(1000 * scale)),
  },
};

function propertyFiles(): string[] {
  return [
    "test/base",
    "test/cobblestone",
    "test/encryption-sdk/decrypt-message.test.ts",
    "test/envelope",
    "test/keys",
    "test/objects/get/get.test.ts",
    "test/objects/get/ranges.test.ts",
    "test/objects/open/open.test.ts",
    "test/s3/body",
    "test/s3ec",
    "test/s3ec-objects/ranges.test.ts",
    "test/transfer",
  ];
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes);
  return hash.digest("hex");
}

async function uploadAndDownload(parts: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "s3-envelope-proof-"));
  const [filePath, downloadPath] = [join(folder, "source"), join(folder, "download")];
  await using aws = await startLocalAws({ directory: join(folder, "s3") });
  const s3 = createS3Client(aws.s3Config);
  try {
    const file = await open(filePath, "w");
    for (let part = 0; part < parts; part++) {
      const start = createHash("sha256").update(`${part}`).digest();
      await file.write(Buffer.alloc(5 * mebibyte, start));
    }
    await file.close();
    const keyring = aesKeyring({ keyId: "proof", wrappingKey: Buffer.alloc(32, 1) });
    const client = new EnvelopeClient({ s3, keyring, partSizeBytes: 5 * mebibyte });
    await client.upload({ Bucket, Key: "large", filePath });
    await client.download({ Bucket, Key: "large", filePath: downloadPath, fsync: false });
    const [source, download] = [await sha256(filePath), await sha256(downloadPath)];
    if (source !== download) throw new Error("the file that came back is another one");
    return `${statSync(filePath).size} bytes, SHA-256 ${source}`;
  } finally {
    s3.destroy();
    rmSync(folder, { recursive: true, force: true });
  }
}

const [name, option] = process.argv.slice(2);
const proof = name === undefined ? undefined : proofs[name];
if (!proof || (option !== undefined && option !== "--tenth")) {
  for (const [title, { proves, size, minutes }] of Object.entries(proofs)) {
    console.log(`${title.padEnd(15)} ${proves}: ${size}, about ${minutes} minutes`);
  }
  console.log("\nnpm run prove -- <name> [--tenth]");
  process.exitCode = name === undefined ? 0 : 1;
} else {
  const scale = option === "--tenth" ? 0.1 : 1;
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  console.log(`${name}: ${proof.proves}`);
  console.log(
    `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus().length} x ${cpu?.model}, ${memory} GiB, scale ${scale}`,
  );
  const start = performance.now();
  const result = await proof.run(scale);
  console.log(`proved: ${name}, ${result}, ${Math.round((performance.now() - start) / 1000)} s`);
}
