import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { TemporaryFile } from "../../src/s3ec-objects/read/temporary-file.js";
import { collect, collectUntilError, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const refusals = vi.hoisted(() => ({ left: 0 }));
vi.mock("node:fs/promises", async (original) => {
  const fs = await original<typeof import("node:fs/promises")>();
  const rm: typeof fs.rm = async (...args) => {
    if (refusals.left-- > 0) throw Object.assign(new Error("in use"), { code: "EBUSY" });
    return fs.rm(...args);
  };
  return { ...fs, rm };
});

const directory = mkdtempSync(join(tmpdir(), "s3e-temporary-"));
afterAll(() => rmSync(directory, { recursive: true }));

async function* pieces(...bytes: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* bytes;
}

it("a temporary file keeps its name where an open file cannot lose it, and is deleted when it is closed", async () => {
  refusals.left = 1;
  const file = await TemporaryFile.open(directory);
  expect(readdirSync(directory).length).toBe(1);
  await collect(file.write(pieces(testBytes(10))));
  await file.close();
  expect(readdirSync(directory)).toEqual([]);
  await file.close();
});

it("a temporary file returns the written bytes, and fails if some are missing", async () => {
  const file = await TemporaryFile.open(directory);
  const bytes = testBytes(700_000);
  const written = pieces(bytes.subarray(0, 1), bytes.subarray(1, 400_000), bytes.subarray(400_000));
  expectBytes(await collect(file.write(written)), bytes);
  expectBytes(await collect(file.read()), bytes);
  expectBytes(await collect(file.read()), bytes);
  await file.close();
  expect(await errorOf(() => collect(file.read()))).toEqual(coded("FILE_FAILED"));
  expect(await errorOf(() => collect(file.write(pieces(bytes))))).toEqual(coded("FILE_FAILED"));
  expect(readdirSync(directory)).toEqual([]);
});

it("a temporary file returns nothing of a piece that was changed or cut off", async () => {
  const bytes = testBytes(2_500_000);
  for (const at of [0, 1_048_575, 1_048_576, 2_499_999]) {
    refusals.left = 1;
    const file = await TemporaryFile.open(directory);
    expectBytes(await collect(file.write(pieces(bytes))), bytes);
    const [name = ""] = readdirSync(directory);
    const handle = await open(join(directory, name), "r+");
    await handle.write(Buffer.of((bytes[at] ?? 0) ^ 1), 0, 1, at);
    await handle.close();
    const { released, error } = await collectUntilError(file.read());
    expect(error).toEqual(coded("FILE_FAILED"));
    expectBytes(released, bytes.subarray(0, at - (at % 1_048_576)));
    truncateSync(join(directory, name), 1_048_576);
    expect(await errorOf(() => collect(file.read()))).toEqual(coded("FILE_FAILED"));
    await file.close();
  }
});
