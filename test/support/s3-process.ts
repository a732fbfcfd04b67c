/** A process with an S3 on a folder, for tests that kill it: `process.argv` has the folder. */
import { startLocalAws } from "../../src/testing/index.js";

const [, , directory = ""] = process.argv;
const aws = await startLocalAws({ directory, minPartBytes: 1 });
process.send?.(aws.s3Config);
// Not to outlive the tests.
process.once("disconnect", () => process.exit());
