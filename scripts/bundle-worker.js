/**
 * Runs after `tsc` in `npm run build`. Makes the program of the worker threads one self-contained module and puts its
 * text into dist/cobblestone/engine/worker-source.js, so that any bundler carries it along without being told of it.
 */
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const dist = (file) => fileURLToPath(new URL(`../dist/cobblestone/engine/${file}`, import.meta.url));
const { outputFiles } = await build({
  entryPoints: [dist("worker.js")],
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  legalComments: "none",
  write: false,
});
const [program] = outputFiles;
writeFileSync(dist("worker-source.js"), `export const workerSource = ${JSON.stringify(program.text)};\n`);
// It maps the file that has just been replaced.
rmSync(dist("worker-source.js.map"));
