/** Runs a table of checks against every server that has the service. */
import { describe, inject, it } from "vitest";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { knownGaps } from "./known-gaps.js";
import type { Target } from "./setup.js";

/** A check of one behaviour of a server. */
export interface Check<T> {
  readonly operation: string;
  readonly name: string;
  run(context: T): Promise<void>;
}

/** All servers, including those that are not available. */
export const targets: readonly Target[] = inject("targets");

/** Runs checks against all servers of a service. */
export function runChecks<T>(
  service: "s3" | "kms",
  checks: readonly Check<T>[],
  open: (config: LocalClientConfig) => { context(): Promise<T> },
): void {
  for (const target of targets) {
    if (target.missing) {
      describe.skip(`${target.name} (${target.missing})`, () => {
        it.each(checks.map(({ operation, name }) => `${operation}: ${name}`))("%s", () => undefined);
      });
      continue;
    }
    const config = target[service];
    if (!config) continue;
    describe(`${target.name} ${target.version}`, () => {
      const { context } = open(config);
      const shared = context();
      for (const { operation, name, run } of checks) {
        const title = `${operation}: ${name}`;
        const gap = knownGaps[target.name]?.[title];
        if (gap === undefined) it(title, async () => run(await shared));
        else if (typeof gap === "string") it.fails(`${title} (known: ${gap})`, async () => run(await shared));
        else it.skip(`${title} (known, at times: ${gap.atTimes})`, () => undefined);
      }
    });
  }
}
