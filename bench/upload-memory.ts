/** How much memory an upload takes, as its size grows: client and S3 in processes of their own. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LocalClientConfig } from "s3-envelope/testing";

/** What the server's process says when it is up. */
export interface ServerReady {
  readonly s3Config: LocalClientConfig;
  readonly kmsConfig: LocalClientConfig;
  readonly keyId: string;
}

/** What a client's process is told. */
export interface UploadOrder extends ServerReady {
  readonly mebibytes: number;
  /** Read the object back and compare; the server must keep bodies for that. */
  readonly verify: boolean;
}

/** What a client's process answers. */
export interface UploadResult {
  readonly peakRssMiB: number;
  readonly seconds: number;
  /** The same process before the upload, with the SDK loaded. */
  readonly startRssMiB: number;
}

/** What the client may take, and how much more for a larger object; beyond it the bench fails. */
const maxPeakRssMiB = 250e6 / 2 ** 20;
const maxGrowth = 1.1;

/** Measures and prints, after one upload that is read back and compared. */
export async function benchUploadMemory(sizes: readonly number[]): Promise<void> {
  await withServer(false, (ready) => upload({ ...ready, mebibytes: 50, verify: true }));
  console.log(
    "memory of one put of a generated stream of unknown length, S3 in another process, default settings",
  );
  await withServer(true, async (ready) => {
    let first: number | undefined;
    for (const mebibytes of sizes) {
      const { peakRssMiB, startRssMiB, seconds } = await upload({ ...ready, mebibytes, verify: false });
      first ??= peakRssMiB;
      const rate = ((mebibytes * 2 ** 20) / seconds / 1e6).toFixed(0);
      const facts = `peak RSS ${peakRssMiB.toFixed(0)} MiB (${startRssMiB.toFixed(0)} before the upload), ${rate} MB/s`;
      if (peakRssMiB > maxPeakRssMiB || peakRssMiB > first * maxGrowth) process.exitCode = 1;
      console.log(`  ${(peakRssMiB / first).toFixed(2)}x  ${String(mebibytes).padStart(5)} MiB: ${facts}`);
    }
  });
}

async function withServer<T>(discard: boolean, use: (ready: ServerReady) => Promise<T>): Promise<T> {
  const server = start("upload-server.ts", [discard ? "discard" : "keep"]);
  try {
    const [ready] = (await once(server, "message")) as [ServerReady];
    return await use(ready);
  } finally {
    server.kill();
  }
}

async function upload(order: UploadOrder): Promise<UploadResult> {
  const client = start("upload-client.ts", []);
  client.send(order);
  const [answer] = await Promise.race([once(client, "message"), once(client, "exit")]);
  if (typeof answer !== "object" || answer === null) throw new Error("the client's process failed");
  return answer as UploadResult;
}

function start(file: string, args: string[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: process.execArgv });
}
