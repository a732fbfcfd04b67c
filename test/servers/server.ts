/** What a server of other people's making is here, and how one is run. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { LocalClientConfig } from "../../src/testing/index.js";

const run = promisify(execFile);
const startMs = 60_000;
/** One credential for all; these servers hold nothing. */
export const credentials = { accessKeyId: "AKIASERVERSTESTING", secretAccessKey: "servers-secret" };
export const region = "us-east-1";

/** A server that can be installed and run. */
export interface Server {
  readonly name: string;
  readonly version: string;
  readonly services: readonly ("s3" | "kms")[];
  /** Installs into the cache; returns the program. */
  install(cache: string): Promise<string>;
  /** How to run it on a port with its data in a folder. */
  command(program: string, port: number, directory: string): { args: string[]; env?: Record<string, string> };
}

/** A server that runs. */
export interface RunningServer {
  readonly config: LocalClientConfig;
  stop(): Promise<void>;
}

/** The folder of what is built: kept between runs on one machine, outside the checkout. */
export function cacheDirectory(): string {
  const directory = process.env.S3_ENVELOPE_SERVERS ?? join(tmpdir(), "s3-envelope-servers");
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Runs a command to its end; its error tells the last lines that it wrote. */
export async function command(
  program: string,
  args: string[],
  env: Record<string, string> = {},
  cwd?: string,
) {
  try {
    const options = { env: { ...process.env, ...env }, cwd, maxBuffer: 64 * 1024 * 1024 };
    return (await run(program, args, options)).stdout;
  } catch (error) {
    const { stdout = "", stderr = "", message } = error as Error & { stdout?: string; stderr?: string };
    const said = [stderr, stdout, message].map((text) => text.trim()).find((text) => text !== "") ?? "";
    throw new Error(`${program}: ${said.split("\n").slice(-3).join(" | ")}`);
  }
}

/** Installs Debian packages when a program is not there. */
export async function requireProgram(program: string, packages: string[]): Promise<void> {
  const found = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, program)));
  if (!found) await installPackages(packages);
}

/** Installs Debian packages. */
export async function installPackages(packages: string[]): Promise<void> {
  await command("apt-get", ["update", "-q"]);
  await command("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...packages]);
}

/** Builds a Go program of a fixed version. */
export async function goBuild(cache: string, name: string, module: string, folder: string): Promise<string> {
  const program = join(cache, "bin", `${name}-${module.replace(/.*@/, "")}`);
  if (existsSync(program)) return program;
  await requireProgram("go", ["golang-go"]);
  const env = {
    GOPATH: join(cache, "go"),
    GOCACHE: join(cache, "go-build"),
    GOFLAGS: "-modcacherw -mod=mod",
  };
  const found = JSON.parse(await command("go", ["mod", "download", "-json", module], env, cache)) as {
    Dir: string;
  };
  await command("go", ["build", "-o", program, folder], env, found.Dir);
  return program;
}

/** Starts a server on a free port and waits until it answers. */
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
  child.stderr.on("data", (bytes: Buffer) => {
    said = (said + bytes.toString("utf8")).slice(-2000);
  });
  const stop = () => end(child, directory);
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await answering(child, endpoint);
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}: ${said.trim().split("\n").slice(-3).join(" | ")}`);
  }
  return { config: { endpoint, region, credentials, forcePathStyle: true }, stop };
}

async function answering(child: ChildProcess, endpoint: string): Promise<void> {
  for (const deadline = Date.now() + startMs; Date.now() < deadline; await delay(200)) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
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
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
}

/** A free port with nine behind it, below those that systems give to clients. */
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
