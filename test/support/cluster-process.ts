/** A cluster of two workers, each with an in-process AWS; tells its parent the endpoints of their S3s. */
import cluster from "node:cluster";
import { once } from "node:events";
import { startLocalAws } from "../../src/testing/index.js";

if (cluster.isPrimary) {
  const workers = [cluster.fork(), cluster.fork()];
  const messages = await Promise.all(workers.map((worker) => once(worker, "message")));
  process.send?.(messages.map(([endpoint]) => endpoint as string));
  // Not to outlive the tests.
  process.once("disconnect", () => process.exit());
} else {
  const aws = await startLocalAws();
  process.send?.(aws.s3Config.endpoint);
}
