/** Installs and starts the servers before the conformance tests, reports those that are not available, and stops them. */
import type { TestProject } from "vitest/node";
import { type LocalClientConfig, startLocalAws } from "../../src/testing/index.js";
import { catalogue } from "./catalogue.js";
import { cacheDirectory, pipInstall } from "./install.js";
import { knownGaps } from "./known-gaps.js";
import { type RunningServer, start } from "./server.js";

/** A server that the tests run against, or the reason for its absence. */
export interface Target {
  readonly name: string;
  readonly version: string;
  readonly s3?: LocalClientConfig;
  readonly kms?: LocalClientConfig;
  /** The reason for its absence. */
  readonly missing?: string;
}

/** The clients of other languages, in one folder, or the reason for their absence. */
export interface Clients {
  readonly programs?: string;
  readonly missing?: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    targets: readonly Target[];
    clients: Clients;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const aws = await startLocalAws({ region: "us-east-1" });
  const running: RunningServer[] = [];
  const stop = async () => {
    await Promise.all([aws.close(), ...running.map((server) => server.stop())]);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(1)));
  }
  const targets: Target[] = [
    { name: "in-process", version: "this commit", s3: aws.s3Config, kms: aws.kmsConfig },
  ];
  for (const server of catalogue) {
    const { name, version, services } = server;
    const began = Date.now();
    let program: string;
    try {
      program = await server.install(cacheDirectory());
    } catch (error) {
      targets.push({ name, version, missing: (error as Error).message });
      continue;
    }
    // A server that is installed but does not start is a failure, not skipped.
    const started = await start(server, program).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    running.push(started);
    const configs = Object.fromEntries(services.map((service) => [service, started.config]));
    targets.push({ name, version, ...configs });
    console.log(`${name} ${version}: there after ${Math.round((Date.now() - began) / 1000)} s`);
  }
  const clients: Clients = await pipInstall(cacheDirectory(), "clients-1", "clients-requirements.txt").then(
    (programs) => ({ programs }),
    (error: Error) => ({ missing: error.message }),
  );
  project.provide("targets", targets);
  project.provide("clients", clients);
  return async () => {
    await stop();
    if (clients.missing) console.log(`SKIPPED: awscli, boto3 and s3cmd could not be had: ${clients.missing}`);
    for (const { name, version, missing } of targets) {
      if (missing) console.log(`SKIPPED: ${name} ${version} could not be had: ${missing}`);
      else for (const [check, reason] of atTimes(name)) console.log(`SKIPPED: ${name}: ${check}: ${reason}`);
    }
  };
}

/** The checks that are skipped for a server because it fails them only sometimes, with reasons. */
function atTimes(server: string): [check: string, reason: string][] {
  return Object.entries(knownGaps[server] ?? {}).flatMap(([check, gap]) =>
    typeof gap === "string" ? [] : [[check, `at times it ${gap.atTimes}`]],
  );
}
