/** An S3Client with the settings that transfers want: docs/performance.md gives the reason for each. */
import type { AgentOptions } from "node:https";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { choiceArgument } from "../base/arguments.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";

/** What {@link createS3Client} takes: all that `new S3Client()` does, and this. */
export interface S3ClientOptions extends S3ClientConfig {
  /**
   * Whether the signature covers the bytes of each upload over TLS as well, by a SHA-256 of them. False by default:
   * a checksum of the bytes is sent and signed anyway; without one the bytes are hashed. Buckets whose policy refuses
   * unsigned payloads want true. This is about bodies in memory; the SDK sends streams unsigned over TLS either way.
   * Without TLS the signature always covers bodies in memory.
   */
  readonly signPayload?: boolean | undefined;
}

type HandlerSettings = Record<
  keyof Extract<S3ClientConfig["requestHandler"], { connectionTimeout?: unknown }> & string,
  unknown
>;

/** For sockets; the agents of the SDK open 50 at most, and a body that is being read holds one. */
const agentSettings = { keepAlive: true, maxSockets: 256 };
/** How long to wait for a connection, in milliseconds. */
const connectionTimeout = 5_000;
/** The same in the defaults modes of all AWS SDKs: the SDK knows them only when it is given no handler settings. */
const modeTimeouts: Readonly<Record<string, number | undefined>> = {
  "cross-region": 3_100,
  "in-region": 1_100,
  mobile: 30_000,
  standard: 3_100,
};
/** How long nothing may go either way on a connection, in milliseconds. */
const socketTimeout = 60_000;

/**
 * Makes an S3Client with settings for large and many transfers: it notices a service that falls silent, keeps
 * its connections, sends a part without asking whether it may, and passes over each byte once. Every setting of
 * yours comes first; a `requestHandler` that is no plain list of settings, and an agent that is one, is taken as
 * it is. A `defaultsMode` that you state gives the `connectionTimeout`.
 *
 * The SDK verifies no checksums of what it reads with this client, your own GetObjects included, unless
 * `ChecksumMode: "ENABLED"` asks for it: `get` has tags. AWS_RESPONSE_CHECKSUM_VALIDATION in the environment
 * is heeded; `response_checksum_validation` in a profile is overridden, so state `responseChecksumValidation`.
 *
 * @param options those of `new S3Client()`, such as `region`, and `signPayload`
 * @throws TypeError, RangeError when an option is wrong
 */
export function createS3Client(options: S3ClientOptions = {}): S3Client {
  const fields = fieldsArgument<S3ClientOptions>(fieldNames.createS3Client.options, options);
  const { signPayload = false, requestHandler, ...given } = fields;
  choiceArgument("options.signPayload", signPayload, [true, false]);
  // Asked for once the client is there.
  const modeTimeout = async () => {
    const mode = client.config.defaultsMode as () => Promise<string>;
    return modeTimeouts[await mode()];
  };
  const client: S3Client = new S3Client({
    // The SDK would give each request of 2 MiB or more a connection of its own, and wait for leave to send.
    expectContinueHeader: false,
    // What `get` returns has verified by its tags.
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

/** Settings that are there: one that is undefined must not take the place of ours. */
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

/** TLS keeps the bytes on their way, the signed checksum ties them to the request. Without either they are hashed. */
function leavePayloadUnsigned(commandName: string, request: unknown): void {
  const { protocol, headers, body } = request as OutgoingRequest;
  if (protocol !== "https:" || body === undefined || !uploads.includes(commandName)) return;
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  if (names.some((name) => checksum.test(name)) && !names.includes(payloadHash)) {
    headers[payloadHash] = "UNSIGNED-PAYLOAD";
  }
}
