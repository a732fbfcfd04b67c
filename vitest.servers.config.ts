import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

/** The conformance tier: `npm run test:servers`. Building the servers takes minutes the first time. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ["test/**/*.servers.ts"],
    globalSetup: ["test/servers/setup.ts"],
    hookTimeout: 600_000,
    // One file at a time: the servers share two cores with the tests.
    fileParallelism: false,
    isolate: true,
    setupFiles: [],
  },
});
