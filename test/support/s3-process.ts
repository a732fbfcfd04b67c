/** A process with an S3 on a folder, for tests that kill it: `process.argv` has the folder, and a port if it matters. */
import { startLocalAws } from "../../src/testing/index.js";

const [, , directory = "", s3Port = "0"] = process.argv;
const aws = await startLocalAws({ directory, s3Port: Number(s3Port), minPartBytes: 1 });
process.send?.(aws.s3Config);
// Not to outlive the tests.
process.once("disconnect", () => process.exit());
