/** Starts and stops a peer: a small server that speaks the test protocol around somebody's encryption client. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { LocalClientConfig } from "../../src/testing/index.js";

const startMs = 60_000;
const stopMs = 5_000;

/** The command that runs a peer. */
export interface PeerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Builds this project's part before the first start. A failure here does not skip the peer. */
  readonly build?: () => Promise<void>;
}

/** A peer that can be installed and run. */
export interface Peer {
  readonly name: string;
  /** Of the encryption client, as its registry names it. */
  readonly version: string;
  /** Installs into the cache what the peer needs of others; when that fails, it is skipped. */
  install(cache: string): Promise<PeerCommand>;
}

/** A running peer. */
export interface RunningPeer {
  readonly port: number;
  stop(): Promise<void>;
}

/** The endpoints of S3 and KMS for a peer. */
export interface PeerServices {
  readonly s3: LocalClientConfig;
  readonly kms: LocalClientConfig;
}

/**
 * Starts a peer and waits until it prints its port, a line `{"port":N}`. It ends by itself when its standard input
 * does, so that none is left when this process dies.
 */
export async function startPeer(command: PeerCommand, { s3, kms }: PeerServices): Promise<RunningPeer> {
  await command.build?.();
  const child = spawn(command.program, command.args, {
    env: {
      ...process.env,
      ...command.env,
      S3_ENDPOINT: s3.endpoint,
      KMS_ENDPOINT: kms.endpoint,
      AWS_REGION: s3.region,
      AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => {
    said = (said + bytes.toString("utf8")).slice(-4000);
  });
  // It may have ended before it is stopped.
  child.stdin.on("error", () => {});
  const port = await firstLine(child).catch(async (error: unknown) => {
    await end(child);
    throw new Error(`${command.program}: ${(error as Error).message}: ${said.trim()}`);
  });
  return { port, stop: () => end(child) };
}

function firstLine(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it tells no port within ${startMs / 1000} s`)), startMs);
    child.once("error", reject);
    child.once("exit", (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
    if (child.stdout === null) return;
    // Lines of loggers are skipped.
    createInterface(child.stdout).on("line", (line) => {
      const [, port] = /^\{"port": ?(\d+)\}$/.exec(line.trim()) ?? [];
      if (port !== undefined) {
        clearTimeout(timer);
        resolve(Number(port));
      }
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.stdin?.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
  await ended;
  clearTimeout(timer);
}
