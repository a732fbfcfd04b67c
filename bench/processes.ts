/** Processes that the benches start beside their own. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LocalAwsOptions, LocalClientConfig } from "s3-envelope/testing";

/** Runs a file of this folder. */
export function startProcess(file: string, args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: process.execArgv });
}

/** The next message of a process. */
export async function answerOf(child: ChildProcess): Promise<unknown> {
  const end = new AbortController();
  try {
    return await Promise.race([
      once(child, "message", { signal: end.signal }).then(([message]) => message),
      once(child, "exit", { signal: end.signal }).then(() => {
        throw new Error("a process of the bench has failed");
      }),
    ]);
  } finally {
    end.abort();
  }
}

/** The message of the process of an S3 and a KMS when it has started. */
export interface ServerReady {
  readonly s3Config: LocalClientConfig;
  readonly kmsConfig: LocalClientConfig;
  readonly keyId: string;
}

/**
 * Starts an S3 and a KMS in a process of their own for as long as they are used.
 *
 * @param connectionRate so many bytes a second they send at most on each connection
 */
export async function withServer<T>(
  options: LocalAwsOptions,
  use: (ready: ServerReady) => Promise<T>,
  connectionRate?: number,
): Promise<T> {
  const rate = connectionRate === undefined ? [] : [String(connectionRate)];
  const server = startProcess("s3-process.ts", [JSON.stringify(options), ...rate]);
  try {
    return await use((await answerOf(server)) as ServerReady);
  } finally {
    if (server.exitCode === null) {
      server.disconnect();
      await once(server, "exit");
    }
  }
}
