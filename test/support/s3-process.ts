/**
 * A process with an S3 on a folder, for tests that kill it: `process.argv` has the folder, and for a restart the
 * config of the earlier start as JSON.
 */
import { type LocalClientConfig, startLocalAws } from "../../src/testing/index.js";

const [, , directory = "", earlier] = process.argv;
const { endpoint, credentials } = (earlier ? JSON.parse(earlier) : {}) as Partial<LocalClientConfig>;
const restart = endpoint && credentials && { s3Port: Number(new URL(endpoint).port), credentials };
const aws = await startLocalAws({ directory, minPartBytes: 1, ...restart });
process.send?.(aws.s3Config);
// Ends with the test that started it.
process.once("disconnect", () => process.exit());
