import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

/** Amazon's own encryption clients: `npm run test:peers`. Building the peers takes minutes the first time. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ["test/**/*.peers.ts"],
    globalSetup: ["test/peers/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 600_000,
    // One file at a time: the peers share two cores with the tests.
    fileParallelism: false,
    isolate: true,
    setupFiles: [],
  },
});
