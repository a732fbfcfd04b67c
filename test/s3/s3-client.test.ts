import { once } from "node:events";
import { Agent } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { HeadObjectCommand, type S3ClientConfig } from "@aws-sdk/client-s3";
import { describe, expect, it, vi } from "vitest";
import { createS3Client, EnvelopeClient, type S3ClientOptions } from "../../src/index.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const object = { Bucket, Key: "k" };
/** The settings that the handler of a client ended up with. */
const handlerOf = async (options: S3ClientOptions) => {
  const client = createS3Client({ ...local.aws.s3Config, ...options });
  await client.send(new HeadObjectCommand(object)).catch(() => undefined);
  const { requestHandler } = client.config as unknown as { requestHandler: { config: HandlerSettings } };
  client.destroy();
  return requestHandler.config;
};
interface HandlerSettings {
  readonly httpAgent: Agent;
  readonly httpsAgent: Agent;
  readonly socketTimeout?: number;
  readonly connectionTimeout?: number;
}

describe("createS3Client", () => {
  it("makes a client that tells a service that falls silent", async () => {
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

  it("sends parts over connections that it keeps, without asking whether it may", async () => {
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

  it("makes a client that does not ask for checksums of what has tags, unless told to", async () => {
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

  it("needs no settings at all", async () => {
    vi.stubEnv("AWS_REGION", "eu-west-1");
    const client = createS3Client();
    expect(await client.config.region()).toBe("eu-west-1");
    vi.unstubAllEnvs();
  });
});

describe("settings of the caller's", () => {
  it("come on top of the others, one by one", async () => {
    const { httpAgent, httpsAgent, socketTimeout, connectionTimeout } = await handlerOf({
      requestHandler: { socketTimeout: 7, connectionTimeout: undefined, httpsAgent: { maxSockets: 3 } },
    });
    expect([socketTimeout, connectionTimeout]).toEqual([7, 5_000]);
    expect([httpAgent.maxSockets, httpsAgent.maxSockets]).toEqual([256, 3]);
    expect([httpAgent, httpsAgent].map((agent) => Reflect.get(agent, "keepAlive"))).toEqual([true, true]);
  });

  it("may be an agent, or a whole handler, taken as it is", async () => {
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
