/** A cluster of two workers, each with an in-process AWS. Sends the S3 endpoints of both to its parent. */
import cluster from "node:cluster";
import { once } from "node:events";
import { startLocalAws } from "../../src/testing/index.js";

if (cluster.isPrimary) {
  const workers = [cluster.fork(), cluster.fork()];
  const messages = await Promise.all(workers.map((worker) => once(worker, "message")));
  process.send?.(messages.map(([endpoint]) => endpoint as string));
  // Ends with the test that started it.
  process.once("disconnect", () => process.exit());
} else {
  const aws = await startLocalAws();
  process.send?.(aws.s3Config.endpoint);
}
