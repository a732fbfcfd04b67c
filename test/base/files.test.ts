import { linkSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { foreignFileFault, isSymbolicLink } from "../../src/base/files.js";

const folder = mkdtempSync(join(tmpdir(), "s3-envelope-own-file-"));
const path = join(folder, "file");
writeFileSync(path, "x", { mode: 0o600 });
const own = statSync(path);
const changed = (change: object) => Object.assign(Object.create(own), change) as typeof own;
afterAll(() => rmSync(folder, { recursive: true }));

describe("foreignFileFault and isSymbolicLink", () => {
  it("accept a regular file of this user that nobody else may write to", () => {
    expect(foreignFileFault(own)).toBe(undefined);
    expect(foreignFileFault(changed({ mode: 0o100644 }))).toBe(undefined);
  });

  it.each([
    ["another user's", { uid: own.uid + 1 }, "another user"],
    ["writable by its group", { mode: 0o100620 }, "let other users write"],
    ["writable by everybody", { mode: 0o100602 }, "let other users write"],
    ["known by a second name", { nlink: 2 }, "hard link"],
    ["no regular file", { isFile: () => false }, "no regular file"],
  ])("refuse a file that is %s", (_, change, fault) => {
    expect(foreignFileFault(changed(change))).toContain(fault);
  });

  it("refuse a file with a hard link", () => {
    linkSync(path, join(folder, "other"));
    expect(foreignFileFault(statSync(path))).toContain("hard link");
  });

  it("recognize a symbolic link, even one that leads nowhere", async () => {
    symlinkSync(join(folder, "nowhere"), join(folder, "dangling"));
    expect(await isSymbolicLink(join(folder, "dangling"))).toBe(true);
    expect(await isSymbolicLink(path)).toBe(false);
    expect(await isSymbolicLink(join(folder, "nowhere"))).toBe(false);
  });
});
