import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

it("docs/examples/distributed-upload.ts completes an upload although one of its three processes is killed", async () => {
  const tsx = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
  const child = spawn(process.execPath, ["--import", tsx, "docs/examples/distributed-upload.ts"], {
    cwd: root,
    env: { ...process.env, TSX_TSCONFIG_PATH: join(root, "src/tsconfig.json") },
  });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(stdout.match(/was killed while it sent part/g)).toHaveLength(1);
  expect(stdout).toContain("the object is the file, byte for byte");
});
