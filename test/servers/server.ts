/** Runs servers of other projects. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalClientConfig } from "../../src/testing/index.js";

const startMs = 60_000;
/** One credential for all servers, which hold no data. */
export const credentials = { accessKeyId: "AKIASERVERSTESTING", secretAccessKey: "servers-secret" };
export const region = "us-east-1";

/** A server that can be installed and run. */
export interface Server {
  readonly name: string;
  readonly version: string;
  readonly services: readonly ("s3" | "kms")[];
  /** Installs the server into the cache and returns its program. */
  install(cache: string): Promise<string>;
  /** The command that runs it on a port, with its data in a folder. */
  command(program: string, port: number, directory: string): { args: string[]; env?: Record<string, string> };
}

/** A running server. */
export interface RunningServer {
  readonly config: LocalClientConfig;
  stop(): Promise<void>;
}

/** Starts a server on a free port and waits until it responds. */
export async function start(server: Server, program: string): Promise<RunningServer> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), `s3-envelope-${server.name}-`));
  const { args, env } = server.command(program, port, directory);
  const child = spawn(program, args, {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.once("error", (error) => {
    said += String(error);
  });
  child.stderr.on("data", (bytes: Buffer) => {
    said = (said + bytes.toString("utf8")).slice(-2000);
  });
  const stop = () => end(child, directory);
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await answering(child, endpoint);
  } catch (error) {
    await stop();
    throw new Error(
      `${server.name}: ${(error as Error).message}: ${said.trim().split("\n").slice(-3).join(" | ")}`,
    );
  }
  return { config: { endpoint, region, credentials, forcePathStyle: true }, stop };
}

async function answering(child: ChildProcess, endpoint: string): Promise<void> {
  for (const deadline = Date.now() + startMs; Date.now() < deadline; await delay(200)) {
    if (hasEnded(child)) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
    try {
      await (await fetch(endpoint, { signal: AbortSignal.timeout(2000) })).arrayBuffer();
      return;
    } catch {
      // not yet
    }
  }
  throw new Error(`it does not answer within ${startMs} ms`);
}

async function end(child: ChildProcess, directory: string): Promise<void> {
  if (!hasEnded(child)) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
}

/** Whether it has ended or never started. */
function hasEnded({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null || pid === undefined;
}

/** A free port followed by nine free ones, below the range of client ports. */
async function freePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = 20_000 + 10 * randomInt(1000);
    const free = await Promise.all(Array.from({ length: 10 }, (_, index) => isFree(port + index)));
    if (free.every(Boolean)) return port;
  }
  throw new Error("no ten free ports in a row from 20000 to 29999");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
