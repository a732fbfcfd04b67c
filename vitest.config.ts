import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^s3-envelope$/, replacement: source("./src/index.ts") },
      { find: /^s3-envelope\/testing$/, replacement: source("./src/testing/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/foreign-vectors.ts"],
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
    // Only a hang reaches these: no test may depend on how fast or how busy the machine is.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 240_000, interval: 10 } },
    // Some tests wait for what is scripted to fail, while others compute.
    maxWorkers: 3,
    // A worker loads the AWS SDK once for all its files, but evaluates this project's modules anew for each.
    isolate: false,
    setupFiles: [
      "test/support/fresh-modules.ts",
      ...(process.env.FUZZ_FACTOR ? ["test/support/fuzz.ts"] : []),
    ],
  },
});
