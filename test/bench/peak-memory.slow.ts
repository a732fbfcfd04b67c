import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const big = 300 * 2 ** 20;

it("the peak of a process is not that of its parent", async () => {
  const parent = Buffer.alloc(big, 1);
  const code = `import { peakRssBytes } from "./bench/peak-memory.ts";
const before = peakRssBytes();
Buffer.alloc(100 * 2 ** 20, 1);
console.log(JSON.stringify([before, peakRssBytes()]));`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", code], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.on("data", (data) => {
    printed += data;
  });
  await once(child, "close");
  const [before, after] = JSON.parse(printed) as [number, number];
  expect(before).toBeLessThan(parent.length * 0.9);
  expect(after - before).toBeGreaterThan(90 * 2 ** 20);
});
