/** The clients of the S3 tables, all made here: each variant has tables of its own. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { S3Client } from "@aws-sdk/client-s3";
import { aesKeyring, createS3Client, EnvelopeClient } from "s3-envelope";
import type { LocalAwsOptions, LocalClientConfig } from "s3-envelope/testing";
import * as engines from "./engines.js";

/** One way to set up S3 and its clients. */
export interface S3Variant {
  /** Ends the names of its tables; empty for the first. */
  readonly suffix: string;
  /** Ends the titles of its tables. */
  readonly title: string;
  /** For the process of the S3. */
  readonly server: LocalAwsOptions;
  /** For the client, plain and encrypting alike. */
  client(config: LocalClientConfig): S3Client;
}

/** A key and a certificate for 127.0.0.1, made for the tests. */
const pem = (name: string) =>
  readFileSync(new URL(`../test/support/tls/${name}.pem`, import.meta.url), "utf8");
const tls = { key: pem("key"), cert: pem("cert") };

/** Every variant that is measured. */
export const s3Variants: readonly S3Variant[] = [
  {
    suffix: "",
    title: "S3 in another process over HTTP, clients of createS3Client",
    server: {},
    client: (config) => createS3Client(config),
  },
  {
    suffix: "-tls",
    title: "the same over TLS",
    server: { tls },
    client: (config) => createS3Client({ ...config, requestHandler: { httpsAgent: { ca: tls.cert } } }),
  },
];

/** The bucket that the S3 starts with. */
export const bucket = "test-bucket";
/** For plain and encrypted uploads alike: the default of both. */
export const partSizeBytes = 8 * 2 ** 20;
/** For plain and encrypted uploads alike: the default of both. */
export const partsAtOnce = 4;

const keyring = aesKeyring({ keyId: "bench", wrappingKey: randomBytes(32) });

/** A plain client, and two that encrypt through it. */
export interface Clients {
  readonly s3: S3Client;
  readonly onThread: EnvelopeClient;
  readonly withWorkers: EnvelopeClient;
}

/** Makes the clients of a variant. */
export function clientsOf(variant: S3Variant, config: LocalClientConfig): Clients {
  const s3 = variant.client(config);
  const settings = { s3, keyring, partSizeBytes, maxConcurrentParts: partsAtOnce };
  return {
    s3,
    onThread: new EnvelopeClient({ ...settings, ...engines.onThread }),
    withWorkers: new EnvelopeClient({ ...settings, ...engines.withWorkers }),
  };
}
