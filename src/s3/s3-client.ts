/** An S3Client with settings for large and many transfers. docs/performance.md gives the reason for each. */
import type { AgentOptions } from "node:https";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { choiceArgument } from "../base/arguments.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";

/** Options of {@link createS3Client}: all options of `new S3Client()`, and this. */
export interface S3ClientOptions extends S3ClientConfig {
  /**
   * Whether the signature covers the bytes of each upload over TLS, by their SHA-256. False by default: a checksum of the
   * bytes is sent and signed anyway, and without a checksum the bytes are hashed. Set it to true for buckets whose policy
   * refuses unsigned payloads. The option concerns bodies in memory; the SDK sends streams unsigned over TLS either way.
   * Without TLS the signature always covers bodies in memory.
   */
  readonly signPayload?: boolean | undefined;
}

type HandlerSettings = Record<
  keyof Extract<S3ClientConfig["requestHandler"], { connectionTimeout?: unknown }> & string,
  unknown
>;

/** The agents of the SDK open at most 50 sockets, and a body that is being read occupies one. */
const agentSettings = { keepAlive: true, maxSockets: 256 };
/** The longest time to wait for a connection, in milliseconds. */
const connectionTimeout = 5_000;
/** The same by the defaults mode of the AWS SDKs. The SDK applies them only if there are no handler settings. */
const modeTimeouts: Readonly<Record<string, number | undefined>> = {
  "cross-region": 3_100,
  "in-region": 1_100,
  mobile: 30_000,
  standard: 3_100,
};
/** The longest time without traffic on a connection in either direction, in milliseconds. */
const socketTimeout = 60_000;

/**
 * Makes an S3Client with settings for large and many transfers: it detects a service that falls silent, keeps its
 * connections, sends parts without `Expect: 100-continue`, and reads each byte once. Every setting of yours takes precedence.
 * A `requestHandler` or an agent that is an instance is used as it is. A `defaultsMode` of yours determines the
 * `connectionTimeout`.
 *
 * With this client the SDK verifies checksums of responses, also those to your own GetObjects, only if
 * `ChecksumMode: "ENABLED"` requests it: `get` verifies tags. The client observes AWS_RESPONSE_CHECKSUM_VALIDATION in the
 * environment, but overrides `response_checksum_validation` in a profile: set `responseChecksumValidation` instead.
 *
 * @param options those of `new S3Client()`, such as `region`, and `signPayload`
 * @throws TypeError, RangeError when an option is wrong
 */
export function createS3Client(options: S3ClientOptions = {}): S3Client {
  const fields = fieldsArgument<S3ClientOptions>(fieldNames.createS3Client.options, options);
  const { signPayload = false, requestHandler, ...given } = fields;
  choiceArgument("options.signPayload", signPayload, [true, false]);
  // Read after the client was made.
  const modeTimeout = async () => {
    const mode = client.config.defaultsMode as () => Promise<string>;
    return modeTimeouts[await mode()];
  };
  const client: S3Client = new S3Client({
    // The SDK would open a connection for each request of 2 MiB or more, and wait for a 100 response before it sends.
    expectContinueHeader: false,
    // `get` verifies tags.
    ...(!process.env.AWS_RESPONSE_CHECKSUM_VALIDATION && { responseChecksumValidation: "WHEN_REQUIRED" }),
    ...stated(given),
    requestHandler: requestHandlerOf(requestHandler, given.defaultsMode !== undefined && modeTimeout),
  } as S3ClientConfig);
  if (!signPayload) {
    client.middlewareStack.add(
      (next, { commandName = "" }) =>
        (args) => {
          leavePayloadUnsigned(commandName, args.request);
          return next(args);
        },
      // After the checksum has been computed, before anything is signed.
      { step: "build", priority: "low", name: "leavePayloadUnsigned", override: true },
    );
  }
  return client;
}

/** The settings that are not undefined: an undefined one must not replace ours. */
function stated(config: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

function requestHandlerOf(value: unknown, modeTimeout: false | (() => Promise<number | undefined>)): unknown {
  if (isInstance(value, "handle")) return value;
  const given = fieldsArgument<HandlerSettings>(
    fieldNames.createS3Client.requestHandler,
    value === undefined ? {} : value,
    "options.requestHandler",
  );
  const config = {
    connectionTimeout,
    socketTimeout,
    ...stated(given),
    httpAgent: agentOf("options.requestHandler.httpAgent", given.httpAgent),
    httpsAgent: agentOf("options.requestHandler.httpsAgent", given.httpsAgent),
  };
  if (!modeTimeout || typeof given.connectionTimeout === "number") return config;
  return async () => {
    await undefined;
    return { ...config, connectionTimeout: await modeTimeout() };
  };
}

function agentOf(title: string, value: unknown): unknown {
  if (isInstance(value, "destroy")) return value;
  return {
    ...agentSettings,
    ...stated(fieldsArgument<AgentOptions>(fieldNames.agent.agent, value === undefined ? {} : value, title)),
  };
}

function isInstance(value: unknown, method: string): boolean {
  return typeof (Object(value) as Record<string, unknown>)[method] === "function";
}

interface OutgoingRequest {
  readonly protocol: string;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

const uploads = ["PutObjectCommand", "UploadPartCommand"];
const payloadHash = "x-amz-content-sha256";
const checksum = /^x-amz-checksum-(?!type$|mode$|algorithm$)/;

/** TLS protects the bytes in transit, the signed checksum binds them to the request. Without either they are hashed. */
function leavePayloadUnsigned(commandName: string, request: unknown): void {
  const { protocol, headers, body } = request as OutgoingRequest;
  if (protocol !== "https:" || body === undefined || !uploads.includes(commandName)) return;
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  if (names.some((name) => checksum.test(name)) && !names.includes(payloadHash)) {
    headers[payloadHash] = "UNSIGNED-PAYLOAD";
  }
}
