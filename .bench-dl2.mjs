import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync, truncateSync, createWriteStream, rmSync, mkdtempSync, statSync, openSync, readSync, closeSync, fsyncSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { randomBytes, createHash } from "node:crypto";
import { Readable } from "node:stream";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { EnvelopeClient, aesKeyring, createS3Client, CryptoEngine } from "/tmp/wt/download/main/dist/index.js";

const MiB = 2**20;
const config = JSON.parse(process.argv[2]), dir = process.argv[3], size = Number(process.argv[4]), rounds = Number(process.argv[5]);
const s3 = createS3Client(config);
const keyring = aesKeyring({ keyId: "a", wrappingKey: Buffer.alloc(32, 1) });
const client = new EnvelopeClient({ s3, keyring, maxConcurrentParts: Number(process.env.PARTS ?? 4) });
const Bucket = "test-bucket", FilePath = dir + "/out";
const ways = {
  "plain GetObject | file": async () => pipeline((await s3.send(new GetObjectCommand({ Bucket, Key: "plain" }))).Body, createWriteStream(FilePath)),
  "plain to null": async () => { for await (const _ of (await s3.send(new GetObjectCommand({ Bucket, Key: "plain" }))).Body); writeFileSync(FilePath,""); truncateSync(FilePath, size); },
  "get | file": async () => pipeline((await client.get({ Bucket, Key: "enc" })).Body, createWriteStream(FilePath)),
  "download fsync": () => client.download({ Bucket, Key: "enc", FilePath }),
  "download no fsync": () => client.download({ Bucket, Key: "enc", FilePath, fsync: false }),
};
if (process.argv[6]) for (const n of Object.keys(ways)) if (!n.includes(process.argv[6])) delete ways[n];
const res = {};
for (let r = 0; r < rounds; r++) for (const [name, run] of Object.entries(ways)) {
  rmSync(FilePath, { force: true });
  const c = process.cpuUsage(), t = performance.now();
  await run();
  const s = (performance.now() - t) / 1000, u = process.cpuUsage(c);
  if (statSync(FilePath).size !== size) throw new Error("size");
  (res[name] ??= []).push([Math.round(size / 1e6 / s), ((u.user + u.system) / 1000 / (size / MiB)).toFixed(2)]);
}
for (const [n, v] of Object.entries(res)) console.log(n.padEnd(26), v.map(([a, b]) => `${a} MB/s ${b} ms/MiB`).join("  "));
console.log("peak RSS", process.resourceUsage().maxRSS / 1024 | 0, "MiB", "load", (await import("node:os")).loadavg()[0]);
process.exit();
