/** `npm run bench`: ratios side by side in one run. `-- --quick` takes under a minute. */
import { cpus, totalmem } from "node:os";
import { benchFrames } from "./frames.js";
import { benchUploadMemory } from "./upload-memory.js";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"; // also of the processes started here
const quick = process.argv.includes("--quick");
const { node, openssl } = process.versions;
const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
console.log(`${new Date().toISOString().slice(0, 10)}, Node ${node}, OpenSSL ${openssl}`);
console.log(
  `${cpus().length} x ${cpus()[0]?.model.trim()}, ${memory}, ${process.platform} ${process.arch}\n`,
);

const pieceSizes = [64 * 1024, 1024 * 1024];
await (quick ? benchFrames(128 * 2 ** 20, 5, pieceSizes) : benchFrames(2 ** 30, 7, pieceSizes));
await benchUploadMemory(quick ? [128, 512] : [512, 2048]);
