/** Engines with real worker threads, which run the built code. */
import { afterAll } from "vitest";
import { CryptoEngine, type CryptoEngineOptions } from "../../src/cobblestone/engine/engine.js";
import { workerProtocol } from "../../src/cobblestone/engine/worker-messages.js";

/** The built code of the workers. Node 20 cannot run the source. */
export const workerUrl = new URL("../../dist/cobblestone/engine/worker.js", import.meta.url);

/** Creates engines whose workers process every chunk, and closes them after the tests of a file. */
export function useEngines(): {
  /** An engine that has not started its workers. */
  newEngine(options?: CryptoEngineOptions): CryptoEngine;
  /** An engine with two workers that are ready. */
  startedEngine(options?: CryptoEngineOptions): Promise<CryptoEngine>;
} {
  const engines: CryptoEngine[] = [];
  afterAll(() => Promise.all(engines.map((engine) => engine.close())));
  const newEngine = (options?: CryptoEngineOptions) => {
    const engine = new CryptoEngine({ maxWorkers: 2, minWorkerBytes: 0, workerUrl, ...options });
    engines.push(engine);
    return engine;
  };
  return {
    newEngine,
    async startedEngine(options) {
      const engine = newEngine(options);
      await engine.start();
      return engine;
    },
  };
}

/** A worker that starts normally and then runs this code, which can use `parentPort`. */
export function workerOf(code: string): URL {
  const start = `import { parentPort } from "node:worker_threads"; parentPort.postMessage(${JSON.stringify(workerProtocol)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(`${start}\n${code}`)}`);
}
