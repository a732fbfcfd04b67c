import { once } from "node:events";
import { Agent } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { HeadObjectCommand, S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { describe, expect, it, vi } from "vitest";
import { createS3Client, EnvelopeClient, type S3ClientOptions } from "../../src/index.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";

const local = useLocalAws();
const object = { Bucket, Key: "k" };
/** The settings that the handler of a client ended up with. */
const handlerOf = async (options: S3ClientOptions) => {
  const client = createS3Client({ ...local.aws.s3Config, ...options });
  await client.send(new HeadObjectCommand(object)).catch(() => undefined);
  client.destroy();
  return settingsOf(client);
};
const settingsOf = ({ config }: S3Client) =>
  (config as unknown as { requestHandler: { config: HandlerSettings } }).requestHandler.config;
interface HandlerSettings {
  readonly httpAgent: Agent;
  readonly httpsAgent: Agent;
  readonly socketTimeout?: number;
  readonly connectionTimeout?: number;
}

describe("createS3Client", () => {
  it("makes a client that detects a service that falls silent", async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on("error", () => undefined)));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const requestHandler = { socketTimeout: 150 };
    const s3 = createS3Client({ ...local.aws.s3Config, endpoint, maxAttempts: 1, requestHandler });
    const envelope = new EnvelopeClient({ s3, keyring });
    expect(await errorOf(() => envelope.put({ ...object, Body: "x" }))).toEqual(coded("S3_UNAVAILABLE"));
    expect(await errorOf(() => envelope.get(object))).toEqual(coded("S3_UNAVAILABLE"));
    s3.destroy();
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  it("sends parts over connections that it keeps, without Expect: 100-continue", async () => {
    const s3 = createS3Client({ ...local.aws.s3Config, requestHandler: { httpAgent: { maxSockets: 2 } } });
    const envelope = new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes });
    const before = await local.aws.s3Connections();
    await envelope.put({ ...object, Body: testBytes(4 * partBytes) });
    expect((await local.aws.s3Connections()) - before).toBeLessThanOrEqual(2);
    const parts = local.aws.requests.filter(({ operation }) => operation === "UploadPart");
    expect(parts).toHaveLength(5);
    for (const { headers } of parts) {
      expect(headers.expect).toBeUndefined();
      expect(headers["x-amz-checksum-crc32"]).toBeDefined();
    }
    s3.destroy();
  });

  it("keeps the connection of a body that was read to its end", async () => {
    const httpAgent = new Agent({ keepAlive: true });
    const opened = vi.spyOn(httpAgent, "createConnection" as never);
    const s3 = createS3Client({ ...local.aws.s3Config, maxAttempts: 1, requestHandler: { httpAgent } });
    const envelope = new EnvelopeClient({ s3, keyring });
    await envelope.put({ ...object, Body: testBytes(300_000) });
    const sent = vi.spyOn(s3, "send");
    for (let times = 0; times < 3; times++) {
      await (await envelope.get(object)).Body.transformToByteArray();
    }
    expect(opened).toHaveBeenCalledTimes(1);
    (await envelope.get(object)).Body.destroy();
    await until(() => expect(Object.keys(httpAgent.sockets)).toEqual([]));
    s3.destroy();
    // A request that has ended must not be aborted: a handler may close its connection for that.
    const options = sent.mock.calls.map((call) => call[1] as { abortSignal?: AbortSignal });
    expect(options.map(({ abortSignal }) => abortSignal?.aborted)).toEqual([false, false, false, true]);
  });

  it("requests checksums of responses only if ChecksumMode is ENABLED", async () => {
    const s3 = createS3Client(local.aws.s3Config);
    const envelope = new EnvelopeClient({ s3, keyring });
    await envelope.put({ ...object, Body: "x" });
    local.aws.clearRequests();
    await (await envelope.get(object)).Body.transformToByteArray();
    await (await envelope.get({ ...object, ChecksumMode: "ENABLED" })).Body.transformToByteArray();
    s3.destroy();
    expect(local.aws.requests.map(({ headers }) => headers["x-amz-checksum-mode"])).toEqual([
      undefined,
      "ENABLED",
    ]);
  });

  it("observes AWS_RESPONSE_CHECKSUM_VALIDATION in the environment", async () => {
    vi.stubEnv("AWS_RESPONSE_CHECKSUM_VALIDATION", "WHEN_SUPPORTED");
    const heeded = createS3Client(local.aws.s3Config);
    expect(await heeded.config.responseChecksumValidation()).toBe("WHEN_SUPPORTED");
    const stated = createS3Client({ ...local.aws.s3Config, responseChecksumValidation: "WHEN_REQUIRED" });
    expect(await stated.config.responseChecksumValidation()).toBe("WHEN_REQUIRED");
    vi.unstubAllEnvs();
  });

  it("has time limits by default", async () => {
    const { connectionTimeout, socketTimeout } = await handlerOf({});
    expect([connectionTimeout, socketTimeout]).toEqual([5_000, 60_000]);
  });

  it.each(["standard", "in-region", "cross-region", "mobile", "legacy"] as const)(
    "waits for a connection as long as the SDK does in the defaults mode %s",
    async (defaultsMode) => {
      const plain = new S3Client({ ...local.aws.s3Config, defaultsMode });
      await plain.send(new HeadObjectCommand(object)).catch(() => undefined);
      const { connectionTimeout } = settingsOf(plain);
      plain.destroy();
      const { socketTimeout, httpAgent, ...others } = await handlerOf({ defaultsMode });
      expect([others.connectionTimeout, socketTimeout]).toEqual([connectionTimeout, 60_000]);
      expect(httpAgent.maxSockets).toBe(256);
      const requestHandler = { connectionTimeout: 7 };
      expect((await handlerOf({ defaultsMode, requestHandler })).connectionTimeout).toBe(7);
    },
  );

  it("works without any settings", async () => {
    vi.stubEnv("AWS_REGION", "eu-west-1");
    const client = createS3Client();
    expect(await client.config.region()).toBe("eu-west-1");
    vi.unstubAllEnvs();
  });
});

describe("settings of the caller for createS3Client", () => {
  it("replace only the defaults that they name", async () => {
    const { httpAgent, httpsAgent, socketTimeout, connectionTimeout } = await handlerOf({
      requestHandler: { socketTimeout: 7, connectionTimeout: undefined, httpsAgent: { maxSockets: 3 } },
    });
    expect([socketTimeout, connectionTimeout]).toEqual([7, 5_000]);
    expect([httpAgent.maxSockets, httpsAgent.maxSockets]).toEqual([256, 3]);
    expect([httpAgent, httpsAgent].map((agent) => Reflect.get(agent, "keepAlive"))).toEqual([true, true]);
  });

  it("may be an agent or a request handler, which is used as it is", async () => {
    const agent = new Agent();
    expect((await handlerOf({ requestHandler: { httpAgent: agent } })).httpAgent).toBe(agent);
    const handle = vi.fn(async () => Promise.reject(new Error("handled")));
    const requestHandler = { handle } as unknown as S3ClientConfig["requestHandler"];
    const client = createS3Client({
      ...local.aws.s3Config,
      requestHandler,
      maxAttempts: 1,
    } as S3ClientOptions);
    expect((await errorOf(() => client.send(new HeadObjectCommand(object)))).message).toBe("handled");
  });

  it("replace each default, but not by undefined", async () => {
    const given = createS3Client({
      ...local.aws.s3Config,
      expectContinueHeader: 5,
      responseChecksumValidation: "WHEN_SUPPORTED",
    } as S3ClientOptions);
    expect(Reflect.get(given.config, "expectContinueHeader")).toBe(5);
    expect(await given.config.responseChecksumValidation()).toBe("WHEN_SUPPORTED");
    const none = createS3Client({ ...local.aws.s3Config, responseChecksumValidation: undefined });
    expect(await none.config.responseChecksumValidation()).toBe("WHEN_REQUIRED");
  });

  it.each([
    [null, "options: expected an object, got null"],
    [{ signPayload: "no" }, "options.signPayload: expected one of true, false, got another string"],
    [{ requestHandler: 5 }, "options.requestHandler: expected an object, got the number 5"],
    [
      { requestHandler: { httpsAgent: "agent" } },
      "options.requestHandler.httpsAgent: expected an object, got a string",
    ],
    [
      { requestHandler: { httpAgent: null } },
      "options.requestHandler.httpAgent: expected an object, got null",
    ],
  ])("are refused when they are wrong: %j", (options, message) => {
    expect(() => createS3Client(options as never)).toThrow(message);
  });
});
