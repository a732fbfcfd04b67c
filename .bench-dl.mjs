import { fork } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, rmSync, mkdtempSync, statSync, openSync, readSync, closeSync, fsyncSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { randomBytes, createHash } from "node:crypto";
import { Readable } from "node:stream";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { EnvelopeClient, aesKeyring, createS3Client, CryptoEngine } from "/tmp/wt/download/main/dist/index.js";
const MiB = 2 ** 20, size = Number(process.argv[2] ?? 1024) * MiB, rounds = Number(process.argv[3] ?? 3);
const dir = mkdtempSync("/tmp/bench-");
const server = fork("/tmp/bench-server.mjs", [dir + "/s3"]);
const [config] = await once(server, "message");
const s3 = createS3Client(config);
const keyring = aesKeyring({ keyId: "a", wrappingKey: Buffer.alloc(32, 1) });
const client = new EnvelopeClient({ s3, keyring });
const block = randomBytes(64 * 1024);
function* gen() { for (let i = 0; i < size / block.length; i++) { const b = Buffer.from(block); b.writeUInt32BE(i); yield b; } }
const Bucket = "test-bucket";
await new Upload({ client: s3, params: { Bucket, Key: "plain", Body: Readable.from(gen()) }, partSize: 8 * MiB }).done();
await client.put({ Bucket, Key: "enc", Body: Readable.from(gen()) });


s3.destroy();
const r = (await import("node:child_process")).spawn(process.execPath, [...(process.env.PROF ? ["--cpu-prof","--cpu-prof-dir=/tmp/prof"] : []), ...(process.env.TRACE ? ["--trace-gc"] : []), "--no-warnings", ".bench-dl2.mjs", JSON.stringify(config), dir, String(size), String(rounds), process.argv[4] ?? ""], { stdio: "inherit" });
await once(r, "exit");
server.disconnect(); await once(server, "exit");
rmSync(dir, { recursive: true });
process.exit();
