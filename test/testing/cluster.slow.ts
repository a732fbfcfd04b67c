/** Workers of a cluster do not share the port of an in-process AWS, as they would share other servers' ports. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";

it("each worker of a cluster has its own in-process AWS", async () => {
  const script = new URL("../support/cluster-process.ts", import.meta.url);
  const primary = fork(script, [], { execArgv: ["--import", "tsx"] });
  const [ports] = (await once(primary, "message")) as [string[]];
  primary.kill("SIGKILL");
  expect(ports).toHaveLength(2);
  expect(new Set(ports).size).toBe(2);
});
