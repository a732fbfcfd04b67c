/** Engines in processes of their own, with the built package. */
import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { ciphertextLength } from "../../../src/cobblestone/layout.js";

const run = promisify(execFile);
const root = new URL("../../../", import.meta.url);
const entry = new URL("dist/index.js", root).href;
const major = Number(process.versions.node.split(".")[0]);

/** Runs a module that has the package, 3 MB of plaintext and a way to encrypt it; returns its output. */
async function script(code: string, ...flags: string[]): Promise<string> {
  const head = `
    import { subscribe } from "node:diagnostics_channel";
    import { CryptoEngine, decrypt, encrypt, sharedEngine } from "${entry}";
    const dataKey = Buffer.alloc(32, 7);
    const plaintext = Buffer.alloc(3_000_000, 1);
    const collect = async (pieces) => { const all = []; for await (const piece of pieces) all.push(piece); return Buffer.concat(all); };
    const startedEngine = async () => {
      const engine = new CryptoEngine({ maxWorkers: 2, minWorkerBytes: 0 });
      await engine.start();
      return engine;
    };
    const endless = function* () { while (true) yield plaintext.subarray(0, 65_536); };
    /** The bytes that are held above a limit after garbage collection, or 0. */
    const heldAbove = async (bound) => {
      let above = 0;
      for (let round = 0; round < 1000; round++) {
        gc();
        above = process.memoryUsage().arrayBuffers - bound;
        if (above < 0) return 0;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return above;
    };
    const events = [];
    subscribe("s3-envelope:engine", ({ event, cause }) => events.push([event, cause.code]));
  `;
  const module = `data:text/javascript,${encodeURIComponent(head + code)}`;
  const args = [...flags, "--input-type=module", "--eval", `await import(${JSON.stringify(module)})`];
  const { stdout } = await run(process.execPath, args, { cwd: root });
  return stdout.trim();
}

describe("an engine with the built package", () => {
  it("uses workers, waits for their responses, and does not keep the process alive", async () => {
    const printed = await script(`
      const engine = await startedEngine();
      const message = await collect(encrypt([plaintext], { dataKey, engine }));
      const same = (await collect(decrypt([message], { dataKey, engine }))).equals(plaintext);
      console.log(engine.workers, same, events.length);
    `);
    expect(printed).toBe("2 true 0");
  });

  it("does not keep the process alive after an unnecessary start", async () => {
    expect(await script("await new CryptoEngine({ maxWorkers: 2 }).start(); console.log('end');")).toBe(
      "end",
    );
  });

  it("keeps the process alive while it waits only for responses of workers", async () => {
    // A source that never settles does not keep the process alive, so only the worker does.
    const printed = await script(`
      const engine = new CryptoEngine({ maxWorkers: 1, minWorkerBytes: 0 });
      await engine.start();
      const pieces = encrypt((async function* () { yield plaintext; await new Promise(() => {}); })(), { dataKey, engine });
      let bytes = 0;
      while (bytes < 2_900_000) bytes += (await pieces.next()).value.length;
      console.log(bytes > 2_900_000);
    `);
    expect(printed).toBe("true");
  });

  it("is shared by default, has two workers if threads run in parallel, and can be closed", async () => {
    const printed = await script(`
      await collect(encrypt([plaintext], { dataKey }));
      const used = sharedEngine.workers > 0;
      await sharedEngine.start();
      const before = sharedEngine.workers;
      await sharedEngine.close();
      const message = await collect(encrypt([plaintext], { dataKey }));
      console.log(used, before, sharedEngine.workers, message.length);
    `);
    const hasThreads = availableParallelism() > 1;
    expect(printed).toBe(`${hasThreads} ${hasThreads ? 2 : 0} 0 ${ciphertextLength(3_000_000)}`);
  });

  it("reports a missing worker program to code that waits for its start", async () => {
    const printed = await script(`
      const engine = new CryptoEngine({ maxWorkers: 2, workerUrl: new URL("file:///no/such/worker.js") });
      await engine.start();
      console.log(engine.workers, JSON.stringify(events));
    `);
    expect(printed).toMatch(/^0 \[\["fallback","(ERR_)?MODULE_NOT_FOUND"\]\]$/);
  });

  it("emits one warning with a code for all engines of the process if no worker can be started", async () => {
    const printed = await script(`
      const warnings = [];
      process.on("warning", ({ name, code }) => warnings.push([name, code]));
      for (let time = 0; time < 2; time++)
        await new CryptoEngine({ maxWorkers: 1, workerUrl: new URL("file:///no/such/worker.js") }).start();
      await new Promise((resolve) => setImmediate(resolve));
      console.log(events.length, JSON.stringify(warnings));
    `);
    expect(printed).toBe('2 [["S3EnvelopeWarning","S3_ENVELOPE_NO_WORKERS"]]');
  });

  it("frees the memory of iterations that end early", async () => {
    const printed = await script(
      `
      const engine = await startedEngine();
      const before = process.memoryUsage().arrayBuffers;
      for (let time = 0; time < 100; time++) {
        let bytes = 0;
        for await (const piece of encrypt(endless(), { dataKey, engine })) if ((bytes += piece.length) > 1_000_000) break;
      }
      console.log(await heldAbove(before + 2_000_000));
    `,
      "--expose-gc",
    );
    expect(printed).toBe("0");
  });

  it("can be collected together with an abandoned message", async () => {
    const printed = await script(
      `
      const engine = await startedEngine();
      const before = process.memoryUsage().arrayBuffers;
      for (let time = 0; time < 20; time++) await encrypt(endless(), { dataKey, engine }).next();
      console.log(await heldAbove(before + 8_000_000), engine.workers);
    `,
      "--expose-gc",
    );
    expect(printed).toBe("0 2");
  });

  it("does not interfere when the package is loaded in a worker thread of the user", async () => {
    const printed = await script(`
      const { Worker } = await import("node:worker_threads");
      const code = 'import "${entry}"; import "${entry.replace("index.js", "cobblestone/engine/worker.js")}";';
      const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(code)));
      const messages = [];
      worker.on("message", (message) => messages.push(message));
      await new Promise((resolve) => worker.on("exit", resolve));
      console.log(JSON.stringify(messages));
    `);
    expect(printed).toBe("[]");
  });

  it("works on the calling thread, and reports that once, if the permission model forbids threads", async () => {
    const permission = major >= 24 ? "--permission" : "--experimental-permission";
    const printed = await script(
      `
      const engine = await startedEngine();
      for (let time = 0; time < 2; time++) {
        const message = await collect(encrypt([plaintext], { dataKey, engine }));
        console.log((await collect(decrypt([message], { dataKey, engine }))).equals(plaintext));
      }
      console.log(engine.workers, JSON.stringify(events));
    `,
      permission,
      "--allow-fs-read=*",
      "--no-warnings",
    );
    expect(printed).toBe('true\ntrue\n0 [["fallback","ERR_ACCESS_DENIED"]]');
  });
});
