/** The errors of clients with a wrong set-up, through the SDK and over HTTP. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { KMSClient } from "@aws-sdk/client-kms";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { EnvelopeClient, kmsKeyring } from "../../src/index.js";
import { coded, errorOf } from "../support/errors.js";
import { keyring } from "../support/local.js";

/** The response of the server to every request. */
let answer: { status: number; body: string; headers: Record<string, string> };
let server: Server;
let endpoint: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    response.writeHead(answer.status, { "x-amz-request-id": "1", ...answer.headers });
    response.end(request.method === "HEAD" ? "" : answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
afterEach(() => vi.unstubAllEnvs());

const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret" };
const object = { Bucket: "bucket", Key: "key" };
const region = "us-east-1";

function clientWith(config: S3ClientConfig = { region, credentials }): EnvelopeClient {
  const s3 = new S3Client({ endpoint, forcePathStyle: true, maxAttempts: 1, ...config });
  return new EnvelopeClient({ s3, keyring });
}

function answerXml(status: number, code: string, more = "", headers: Record<string, string> = {}): void {
  answer = { status, body: `<Error><Code>${code}</Code><Message>no</Message>${more}</Error>`, headers };
}

/** Removes the environment variables that configure clients. */
function emptyEnvironment(): void {
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) vi.stubEnv(name, undefined);
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_CONFIG_FILE", "no-such-file");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "no-such-file");
}

describe("a bucket in another Region", () => {
  const header = { "x-amz-bucket-region": "eu-west-1" };
  it.each([
    ["a redirect", 301, "PermanentRedirect", "", header],
    ["a temporary one", 307, "TemporaryRedirect", "", header],
    [
      "a redirect by its endpoint",
      301,
      "PermanentRedirect",
      "<Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint>",
      {},
    ],
    ["a refused signature", 400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>", {}],
    ["a refused place", 400, "IllegalLocationConstraintException", "", header],
  ])("is named after %s", async (_, status, code, more, headers) => {
    answerXml(status, code, more, headers as Record<string, string>);
    const error = await errorOf(() => clientWith().get(object));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { bucketRegion: "eu-west-1", serviceError: code }));
    expect(error.message).toContain(
      "the bucket is in Region eu-west-1: set the region of the S3 client to that",
    );
  });

  it("is named together with that of the client if S3 states both", async () => {
    const Message = "the region 'us-east-1' is wrong; expecting 'eu-west-1'";
    const body = `<Error><Code>AuthorizationHeaderMalformed</Code><Message>${Message}</Message></Error>`;
    answer = { status: 400, body, headers: header };
    expect((await errorOf(() => clientWith().get(object))).message).toContain(
      "the bucket is in Region eu-west-1 (the client's is us-east-1)",
    );
  });

  it("is named after a response to HeadObject, which has no body", async () => {
    answerXml(301, "", "", header);
    expect(await errorOf(() => clientWith().head(object))).toEqual(
      coded("S3_REQUEST_FAILED", { bucketRegion: "eu-west-1" }),
    );
    answerXml(400, "", "", header);
    const error = await errorOf(() => clientWith().head(object));
    expect(error.message).toContain(
      "the bucket is in Region eu-west-1: check that the region of the S3 client is the same",
    );
  });

  it("is mentioned without a name if the response has none, and a hostile value is not used as its name", async () => {
    answerXml(301, "PermanentRedirect", "<Region>\u202e; rm</Region>", { "x-amz-bucket-region": "x y" });
    const error = await errorOf(() => clientWith().get(object));
    expect(error.message).toContain("in another Region or at another endpoint (PermanentRedirect)");
    expect(error).not.toHaveProperty("details.bucketRegion");
  });

  it("is not blamed for other errors that name the Region of the bucket", async () => {
    answerXml(403, "AccessDenied", "", header);
    const error = await errorOf(() => clientWith().get(object));
    expect(error).toEqual(coded("S3_ACCESS_DENIED"));
    expect(error.message).not.toContain("Region");
  });
});

describe("a client without", () => {
  const kmsWith = (config: object) => {
    const kms = new KMSClient({ endpoint, maxAttempts: 1, ...config });
    return kmsKeyring({ kms, keyId: "alias/a" });
  };
  const generate = (config: object) =>
    errorOf(() => kmsWith(config).generateDataKey({ encryptionContext: {} }));

  it("a Region gets an error that says so", async () => {
    emptyEnvironment();
    const error = await errorOf(() => clientWith({ credentials }).get(object));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { bucket: "bucket", key: "key" }));
    expect(error.message).toContain(
      "no Region is configured: give the S3 client a region, or set AWS_REGION",
    );
    const kms = await generate({ credentials });
    expect(kms).toEqual(coded("KMS_REQUEST_FAILED"));
    expect(kms.message).toContain("no Region is configured: give the KMS client a region");
  });

  it("credentials gets an error that says so, not that they were refused", async () => {
    emptyEnvironment();
    const error = await errorOf(() => clientWith({ region }).get(object));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { httpStatusCode: undefined }));
    expect(error.message).toContain("no credentials were found: give the S3 client credentials");
    expect(error.message).not.toContain("refused");
    const kms = await generate({ region });
    expect(kms).toEqual(coded("KMS_ACCESS_DENIED"));
    expect(kms.message).toContain("no credentials were found: give the KMS client credentials");
  });

  it("loadable credentials gets an error that says so", async () => {
    const failing = async () => {
      throw Object.assign(new Error("The SSO session has expired"), { name: "CredentialsProviderError" });
    };
    const error = await errorOf(() => clientWith({ region, credentials: failing }).get(object));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { serviceError: "CredentialsProviderError" }));
    expect(error.message).toContain("could not be loaded (CredentialsProviderError): the cause says why");
  });
});

describe("a wrong clock", () => {
  const at = (minutes: number) => ({ date: new Date(Date.now() + minutes * 60_000).toUTCString() });

  it.each([
    [47, "is 47 minutes behind that of S3"],
    [-61, "is 61 minutes ahead of that of S3"],
  ])("is reported with its difference (%i minutes)", async (minutes, expected) => {
    answerXml(403, "RequestTimeTooSkewed", "", at(minutes));
    for (const call of [
      (client: EnvelopeClient) => client.get(object),
      (client: EnvelopeClient) => client.head(object),
    ]) {
      const error = await errorOf(() => call(clientWith()));
      expect(error).toEqual(coded("S3_ACCESS_DENIED", { clockDifferenceMs: expect.any(Number) }));
      expect(error.message).toContain(`the clock of this machine ${expected}`);
      expect(error.message).not.toContain("IAM");
    }
  });

  it("is reported from the time in the body of the response, and without a time", async () => {
    answerXml(
      403,
      "RequestTimeTooSkewed",
      `<ServerTime>${new Date(Date.now() - 7_200_000).toISOString()}</ServerTime>`,
    );
    expect((await errorOf(() => clientWith().get(object))).message).toContain("is 120 minutes ahead of");
    answerXml(403, "RequestTimeTooSkewed");
    expect((await errorOf(() => clientWith().get(object))).message).toContain(
      "clock of this machine differs too much",
    );
  });

  it("is reported for KMS, which only says that a signature is not current", async () => {
    const body = JSON.stringify({ __type: "InvalidSignatureException", message: "Signature expired" });
    answer = { status: 400, body, headers: { "content-type": "application/x-amz-json-1.1", ...at(20) } };
    const kms = new KMSClient({ endpoint, region, credentials, maxAttempts: 1 });
    const generate = () => kmsKeyring({ kms, keyId: "alias/a" }).generateDataKey({ encryptionContext: {} });
    const error = await errorOf(generate);
    expect(error).toEqual(coded("KMS_ACCESS_DENIED", { clockDifferenceMs: expect.any(Number) }));
    expect(error.message).toContain("is 20 minutes behind that of KMS");
    answer = { status: 400, body, headers: { "content-type": "application/x-amz-json-1.1" } };
    expect((await errorOf(generate)).message).not.toContain("clock");
  });

  it("is not suspected if the response has the right time", async () => {
    answerXml(403, "SignatureDoesNotMatch");
    expect((await errorOf(() => clientWith().get(object))).message).not.toContain("clock");
  });
});
