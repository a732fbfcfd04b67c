/** An S3Client with the settings that transfers want: docs/performance.md gives the reason for each. */
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { choiceArgument, objectArgument } from "../arguments.js";

/** What {@link createS3Client} takes: all that `new S3Client()` does, and this. */
export interface S3ClientOptions extends S3ClientConfig {
  /**
   * Whether the signature covers the bytes of each upload over TLS as well, by a SHA-256 of them. False by default:
   * a checksum of the bytes is sent and signed anyway. Buckets whose policy refuses unsigned payloads want true.
   * Without TLS the signature always covers them.
   */
  readonly signPayload?: boolean | undefined;
}

/** For sockets; the agents of the SDK open 50 at most, and a body that is being read holds one. */
const agentSettings = { keepAlive: true, maxSockets: 256 };
/** How long to wait for a connection, and how long nothing may go either way on one, in milliseconds. */
const timeouts = { connectionTimeout: 5_000, socketTimeout: 60_000 };

/**
 * Makes an S3Client with settings for large and many transfers: it notices a service that falls silent, keeps
 * its connections, sends a part without asking whether it may, and passes over each byte once. Every setting of
 * yours comes first; a `requestHandler` that is no plain list of settings, and an agent that is one, is taken as
 * it is.
 *
 * @param options those of `new S3Client()`, such as `region`, and `signPayload`
 * @throws TypeError, RangeError when an option is wrong
 */
export function createS3Client(options: S3ClientOptions = {}): S3Client {
  const { signPayload = false, requestHandler, ...given } = objectArgument("options", options);
  choiceArgument("options.signPayload", signPayload, [true, false]);
  const client = new S3Client({
    // The SDK would give each request of 2 MiB or more a connection of its own, and wait for leave to send.
    expectContinueHeader: false,
    // What `get` returns has verified by its tags.
    responseChecksumValidation: "WHEN_REQUIRED",
    ...stated(given),
    requestHandler: requestHandlerOf(requestHandler),
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
function stated(settings: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function requestHandlerOf(value: unknown): unknown {
  if (isInstance(value, "handle")) return value;
  const given = value === undefined ? {} : objectArgument("options.requestHandler", value);
  return {
    ...timeouts,
    ...stated(given),
    httpAgent: agentOf("options.requestHandler.httpAgent", given.httpAgent),
    httpsAgent: agentOf("options.requestHandler.httpsAgent", given.httpsAgent),
  };
}

function agentOf(title: string, value: unknown): unknown {
  if (isInstance(value, "destroy")) return value;
  return { ...agentSettings, ...(value === undefined ? {} : stated(objectArgument(title, value))) };
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
  const names = Object.keys(headers);
  if (names.some((name) => checksum.test(name)) && !names.includes(payloadHash)) {
    headers[payloadHash] = "UNSIGNED-PAYLOAD";
  }
}
