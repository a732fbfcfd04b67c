/** A download to a full disk. A limit on the size of files simulates it, which needs no privileges. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { expectBytes, testBytes } from "../support/bytes.js";
import { startDownload } from "../support/download-process.js";
import { Bucket, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-full-"));
const filePath = join(folder, "file");
afterAll(() => rmSync(folder, { recursive: true }));

it("fails, keeps what is there and names it, and goes on once there is room", async () => {
  const plaintext = testBytes(5_000_000);
  await local.client.put({ Bucket, Key: "object", Body: plaintext });
  const order = { Bucket, Key: "object", filePath };
  // The unit is 512 bytes or 1 KiB, depending on the shell.
  const full = startDownload(local.aws.s3Config, order, "ulimit -f 4000");
  await full.begun;
  const failed = await full.ended;
  const [name = ""] = readdirSync(folder).filter((file) => file.endsWith(".partial"));
  expect(failed).toMatchObject({
    code: "FILE_FAILED",
    details: { path: filePath, fileError: "EFBIG", partialPath: join(folder, name) },
  });
  expect(readdirSync(folder)).not.toContain("file");
  expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(4_096_000);

  const roomy = startDownload(local.aws.s3Config, order);
  await roomy.begun;
  const { resumedBytes = 0 } = (await roomy.ended) ?? {};
  expect(resumedBytes).toBeGreaterThan(1_000_000);
  expectBytes(readFileSync(filePath), plaintext);
  expect(readdirSync(folder)).toEqual(["file"]);
});
