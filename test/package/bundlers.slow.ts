/** The built package in the bundles of the tools that docs/guides/bundlers-and-lambda.md names. Each must carry the worker threads along. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as esbuild from "esbuild";
import { rollup } from "rollup";
import * as vite from "vite";
import { afterAll, describe, expect, it } from "vitest";
import webpack from "webpack";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const entry = join(root, "dist/index.js");
// Inside the project, so that the bundles find the AWS SDK, which stays outside of them.
const folder = mkdtempSync(join(root, ".tmp-bundles-"));
const app = join(folder, "app.js");
const external = /^(node:|@aws-sdk\/|@smithy\/)/;

afterAll(() => rmSync(folder, { recursive: true }));

writeFileSync(
  app,
  `import { CryptoEngine, decrypt, encrypt } from ${JSON.stringify(entry)};
const warnings = [];
process.on("warning", ({ code }) => warnings.push(code));
const engine = new CryptoEngine({ maxWorkers: 1, minWorkerBytes: 0 });
await engine.start();
const options = { dataKey: Buffer.alloc(32, 7), engine };
const plaintext = Buffer.alloc(300_000, "s3");
const collect = async (pieces) => { const all = []; for await (const piece of pieces) all.push(piece); return Buffer.concat(all); };
const message = await collect(encrypt([plaintext], options));
const same = (await collect(decrypt([message], options))).equals(plaintext);
console.log(JSON.stringify({ workers: engine.workers, same, warnings }));
`,
);

const bundlers: Record<string, (outdir: string) => Promise<unknown>> = {
  esbuild: (outdir) =>
    esbuild.build({
      entryPoints: [app],
      bundle: true,
      platform: "node",
      format: "esm",
      external: ["@aws-sdk/*", "@smithy/*"],
      outfile: join(outdir, "app.mjs"),
    }),
  "esbuild with minified code": (outdir) =>
    esbuild.build({
      entryPoints: [app],
      bundle: true,
      minify: true,
      platform: "node",
      format: "esm",
      external: ["@aws-sdk/*", "@smithy/*"],
      outfile: join(outdir, "app.mjs"),
    }),
  Rollup: async (outdir) => {
    const bundle = await rollup({ input: app, external: (id) => external.test(id), onwarn: () => undefined });
    await bundle.write({ file: join(outdir, "app.mjs"), format: "es" });
    await bundle.close();
  },
  "Vite for a server": (outdir) =>
    vite.build({
      root: folder,
      configFile: false,
      logLevel: "silent",
      ssr: { noExternal: true, external: ["@aws-sdk/client-s3", "@aws-sdk/client-kms"] },
      build: {
        ssr: app,
        outDir: outdir,
        emptyOutDir: false,
        target: "node20",
        rollupOptions: { output: { entryFileNames: "app.mjs" } },
      },
    }),
  webpack: (outdir) =>
    new Promise((resolve, reject) => {
      webpack(
        {
          entry: app,
          mode: "production",
          target: "node20",
          devtool: false,
          experiments: { outputModule: true },
          externalsType: "module",
          externals: [
            ({ request = "" }, decide) => decide(undefined, external.test(request) ? request : undefined),
          ],
          output: { path: outdir, filename: "app.mjs", module: true, library: { type: "module" } },
        },
        (error, stats) => {
          if (error || stats?.hasErrors()) reject(error ?? new Error(stats?.toString("errors-only")));
          else resolve(stats);
        },
      );
    }),
};

describe("a bundle made by", () => {
  it.each(Object.keys(bundlers))("%s has worker threads without any setting", async (name) => {
    const outdir = join(folder, name.replaceAll(" ", "-"));
    mkdirSync(outdir);
    await bundlers[name]?.(outdir);
    expect(readFileSync(join(outdir, "app.mjs"), "utf8")).not.toContain("dist/index.js");
    const { stdout } = await run(process.execPath, [join(outdir, "app.mjs")], { cwd: outdir });
    expect(JSON.parse(stdout)).toEqual({ workers: 1, same: true, warnings: [] });
  });
});
