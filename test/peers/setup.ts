/** Installs and starts the peers before their tests, reports those that are not available, and stops them. */
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import type { TestProject } from "vitest/node";
import { type LocalClientConfig, startLocalAws } from "../../src/testing/index.js";
import { cacheDirectory } from "../servers/install.js";
import { type PeerCommand, type RunningPeer, startPeer } from "./peer.js";
import { peers } from "./peers.js";

/** A peer that the tests run against, or the reason for its absence. */
export interface PeerTarget {
  readonly name: string;
  readonly version: string;
  readonly port?: number;
  /** The reason for its absence. */
  readonly missing?: string;
}

/** The S3 and the KMS that all peers share with the tests. */
export interface PeerWorld {
  readonly s3: LocalClientConfig;
  readonly kms: LocalClientConfig;
  readonly bucket: string;
  readonly kmsKeyId: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    peers: readonly PeerTarget[];
    world: PeerWorld;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const bucket = "peers";
  const aws = await startLocalAws({ region: "us-east-1", buckets: [bucket] });
  const running: RunningPeer[] = [];
  const stop = async () => {
    await Promise.all(running.map((peer) => peer.stop()));
    await aws.close();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(1)));
  }
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
  project.provide("world", {
    s3: aws.s3Config,
    kms: aws.kmsConfig,
    bucket,
    kmsKeyId: KeyMetadata?.Arn ?? "",
  });
  const targets: PeerTarget[] = [];
  for (const { name, version, install } of peers) {
    const began = Date.now();
    let command: PeerCommand;
    try {
      command = await install(cacheDirectory());
    } catch (error) {
      targets.push({ name, version, missing: (error as Error).message });
      continue;
    }
    // A peer that is installed but does not start is a failure, not skipped.
    const peer = await startPeer(command, { s3: aws.s3Config, kms: aws.kmsConfig }).catch(async (error) => {
      await stop();
      throw error;
    });
    running.push(peer);
    targets.push({ name, version, port: peer.port });
    console.log(`${name} ${version}: there after ${Math.round((Date.now() - began) / 1000)} s`);
  }
  project.provide("peers", targets);
  return async () => {
    await stop();
    for (const { name, version, missing } of targets) {
      if (missing) console.log(`SKIPPED: ${name} ${version} could not be had: ${missing}`);
    }
  };
}
