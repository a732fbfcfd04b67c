import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

/** Tests that start processes, kill them, measure memory, or move many bytes: `npm run test:slow`. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ["test/**/*.slow.ts"],
    env: { ...base.test?.env, TEST_TIER: "slow" },
    maxWorkers: 2,
    // What other files have left would count as held memory.
    isolate: true,
    setupFiles: [],
    globalSetup: [],
  },
});
