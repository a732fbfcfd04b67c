/** S3 and KMS in this process, over HTTP or HTTPS on loopback, with clients ready to use. */
import { randomBytes, randomInt } from "node:crypto";
import { Agent } from "node:https";
import { createSecureContext } from "node:tls";
import { KMSClient } from "@aws-sdk/client-kms";
import { S3Client } from "@aws-sdk/client-s3";
import { choiceArgument, integerArgument, stringArgument, wrongType } from "../base/arguments.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import { type Fault, FaultScript, type HoldOptions } from "./faults.js";
import type { HeldRequests } from "./hold.js";
import { type ServerIdentity, startServer } from "./http-server.js";
import { kmsService } from "./kms/kms-service.js";
import { type RecordedRequest, RequestLog } from "./request-log.js";
import { s3Service } from "./s3/s3-service.js";
import { isBucketName } from "./s3/storage/object-store.js";
import type { Credentials } from "./service.js";

/** Settings of {@link startLocalAws}. */
export interface LocalAwsOptions {
  /** Buckets that exist from the start; ["test-bucket"] by default. */
  readonly buckets?: readonly string[];
  /** "eu-central-1" by default. */
  readonly region?: string;
  /** The minimum size of a part that is not the last, in bytes; 5 MiB by default, as in S3. */
  readonly minPartBytes?: number;
  /**
   * Whether bodies are verified and counted but not stored, so that large uploads need little memory;
   * GetObject then fails.
   */
  readonly discardBodies?: boolean;
  /**
   * A folder for objects and uploads: empty, absent, or made by an earlier start, whose complete objects are
   * then found. In memory by default. One process at a time.
   */
  readonly directory?: string;
  /** The port of the S3; a free one by default. */
  readonly s3Port?: number;
  /**
   * The credentials that requests must be signed with; random for each start by default, so that nobody else
   * can send any. State those of an earlier start if its clients continue after a restart.
   */
  readonly credentials?: Credentials;
  /**
   * Selects HTTPS, with this key and this certificate for 127.0.0.1, both PEM. `s3` and `kms` trust the
   * certificate; clients of your own need it as `ca` of an agent, or in `NODE_EXTRA_CA_CERTS`. Plain HTTP by
   * default.
   */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** The configuration of a client, as plain data that can be sent to another process. */
export interface LocalClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: Credentials;
  readonly forcePathStyle: true;
}

/** A running S3 and KMS. */
export interface LocalAws extends AsyncDisposable {
  /** A client of the S3, as `new S3Client()` creates it. */
  readonly s3: S3Client;
  /** A client of the KMS, as `new KMSClient()` creates it. */
  readonly kms: KMSClient;
  /** The configuration of a client of your own, also in another process. */
  readonly s3Config: LocalClientConfig;
  /** The configuration of a client of your own, also in another process. */
  readonly kmsConfig: LocalClientConfig;
  /** The last 10,000 requests to both, in order of arrival, without secrets. */
  readonly requests: readonly RecordedRequest[];
  /** Clears {@link requests}. */
  clearRequests(): void;
  /**
   * Adds a fault. Faults are tried in the order in which they were added.
   *
   * @throws TypeError, RangeError if a field is wrong
   */
  fault(fault: Fault): void;
  /**
   * Makes matching requests wait until the test releases them. Holds and faults are tried in the order in
   * which they were added.
   *
   * @throws TypeError, RangeError if an option is wrong
   */
  hold(options: HoldOptions): HeldRequests;
  /** Removes the faults that still apply, and releases held requests. */
  clearFaults(): void;
  /** The number of open connections to the S3. */
  s3Connections(): Promise<number>;
  /**
   * Breaks all connections, stops both servers, destroys both clients, and waits until no request is being
   * handled. May be called again.
   */
  close(): Promise<void>;
}

/**
 * Starts an S3 and a KMS on free ports of 127.0.0.1, for tests and demos. They verify signatures, checksums
 * and conditions, return the services' own errors, and store everything in memory, or S3's objects in a
 * folder.
 *
 * @throws TypeError, RangeError if an option is wrong; Error if the folder or the port is in use
 */
export async function startLocalAws(options: LocalAwsOptions = {}): Promise<LocalAws> {
  const { region, s3Port, tls, credentials, ...s3Options } = optionsArgument(options);
  const faults = new FaultScript();
  const log = new RequestLog();
  const service = s3Service({ region, credentials, ...s3Options });
  const s3Server = await startServer(service, faults, log, s3Port, tls);
  const kmsServer = await startServer(kmsService(region, credentials), faults, log, 0, tls).catch(
    async (error: unknown) => {
      await s3Server.close();
      throw error;
    },
  );
  const configOf = (endpoint: string): LocalClientConfig => ({
    endpoint,
    region,
    // A new object for each client, as the SDK writes into the credentials that it receives.
    get credentials() {
      return { ...credentials };
    },
    forcePathStyle: true,
  });
  const s3Config = configOf(s3Server.endpoint);
  const kmsConfig = configOf(kmsServer.endpoint);
  // The SDK uses an agent for every request, but ignores `ca` among plain settings for large bodies.
  const trusting = () =>
    tls && { requestHandler: { httpsAgent: new Agent({ ca: tls.cert, keepAlive: true }) } };
  const s3 = new S3Client({ ...s3Config, ...trusting() });
  const kms = new KMSClient({ ...kmsConfig, ...trusting() });
  const close = async () => {
    s3.destroy();
    kms.destroy();
    await Promise.all([s3Server.close(), kmsServer.close()]);
    faults.clear();
  };
  return {
    s3,
    kms,
    s3Config,
    kmsConfig,
    get requests() {
      return log.records;
    },
    clearRequests: () => log.clear(),
    fault: (fault) => faults.add(fault),
    hold: (options) => faults.hold(options),
    clearFaults: () => faults.clear(),
    s3Connections: async () => s3Server.connections(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface LocalAwsSettings extends Required<Omit<LocalAwsOptions, "directory" | "tls">> {
  readonly directory: string | undefined;
  readonly tls: ServerIdentity | undefined;
}

function optionsArgument(options: unknown): LocalAwsSettings {
  const given = fieldsArgument<LocalAwsOptions>(fieldNames.startLocalAws.options, options);
  const { buckets = ["test-bucket"], region = "eu-central-1" } = given;
  const { minPartBytes = 5 * 1024 * 1024, discardBodies = false, directory, s3Port = 0, tls } = given;
  const { credentials = randomCredentials() } = given;
  if (discardBodies === true && directory !== undefined) {
    throw new TypeError("options.directory: cannot be combined with options.discardBodies");
  }
  if (!Array.isArray(buckets)) throw wrongType("options.buckets", "an array of strings", buckets);
  return {
    buckets: buckets.map(bucketArgument),
    region: stringArgument("options.region", region),
    minPartBytes: integerArgument("options.minPartBytes", minPartBytes, 1, 5 * 1024 ** 3),
    discardBodies: choiceArgument("options.discardBodies", discardBodies, [true, false]),
    directory: directory === undefined ? undefined : stringArgument("options.directory", directory),
    s3Port: integerArgument("options.s3Port", s3Port, 0, 65_535),
    credentials: credentialsArgument("options.credentials", credentials),
    tls: tls === undefined ? undefined : identityArgument("options.tls", tls),
  };
}

function randomCredentials(): Credentials {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const id = Array.from({ length: 16 }, () => letters[randomInt(letters.length)]).join("");
  return { accessKeyId: `AKIA${id}`, secretAccessKey: randomBytes(30).toString("base64") };
}

function credentialsArgument(title: string, value: unknown): Credentials {
  const { accessKeyId, secretAccessKey } = fieldsArgument<Credentials>(
    fieldNames.startLocalAws.credentials,
    value,
    title,
  );
  const id = stringArgument(`${title}.accessKeyId`, accessKeyId);
  if (!/^\w{16,128}$/.test(id)) {
    throw new RangeError(`${title}.accessKeyId: expected 16 to 128 letters, digits or underscores`);
  }
  return { accessKeyId: id, secretAccessKey: stringArgument(`${title}.secretAccessKey`, secretAccessKey) };
}

function identityArgument(title: string, value: unknown): ServerIdentity {
  const { key, cert } = fieldsArgument<ServerIdentity>(fieldNames.startLocalAws.tls, value, title);
  const identity = {
    key: stringArgument(`${title}.key`, key),
    cert: stringArgument(`${title}.cert`, cert),
  };
  try {
    createSecureContext(identity);
  } catch {
    // The message of OpenSSL may contain the key.
    throw new RangeError(`${title}: expected a key and its certificate in PEM, got something else`);
  }
  return identity;
}

function bucketArgument(value: unknown, index: number, all: readonly unknown[]): string {
  const title = `options.buckets[${index}]`;
  const bucket = stringArgument(title, value);
  if (!isBucketName(bucket))
    throw new RangeError(
      `${title}: expected a name that S3 allows for a bucket: 3 to 63 of a to z, 0 to 9, "-" and "."`,
    );
  if (all.indexOf(bucket) !== index) throw new RangeError(`${title}: the name occurs twice`);
  return bucket;
}
