/** The memory of a part is used again only when nobody can have kept it. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { expect, it } from "vitest";
import { EnvelopeClient } from "../../src/index.js";
import { collect, expectBytes, testBytes } from "../support/bytes.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const bytes = testBytes(9 * partBytes, 5);
const put = (s3: S3Client) =>
  new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes, maxConcurrentParts: 2 }).put({
    Bucket,
    Key: "k",
    Body: bytes,
  });

it("parts that S3 has answered leave their memory to others", async () => {
  const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
  const memory = new Set<ArrayBufferLike>();
  s3.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const { body } = args.request as { body?: Buffer };
        if (commandName === "UploadPartCommand" && body) memory.add(body.buffer);
        return next(args);
      },
    { step: "finalizeRequest" },
  );
  await put(s3);
  s3.destroy();
  // Two in flight, one read ahead, one being filled; the last part is a short one.
  expect(memory.size).toBeLessThanOrEqual(5);
  expectBytes(await collect((await local.client.get({ Bucket, Key: "k" })).Body), bytes);
});

it("a part that had to be sent twice is sent as it was", async () => {
  local.aws.fault({ operation: "UploadPart", skip: 2, status: 503, code: "SlowDown", times: 2 });
  const s3 = new S3Client(local.aws.s3Config);
  await put(s3);
  s3.destroy();
  expectBytes(await collect((await local.client.get({ Bucket, Key: "k" })).Body), bytes);
});

it("a mocked client may keep the bodies of its commands", async () => {
  const s3 = new S3Client({ region: "eu-central-1" });
  const mock = mockClient(s3);
  mock.on(CreateMultipartUploadCommand).resolves({ UploadId: "u" });
  mock.on(UploadPartCommand).resolves({ ETag: '"e"' });
  mock.on(CompleteMultipartUploadCommand).resolves({ ETag: '"e"' });
  await put(s3);
  const bodies = mock.commandCalls(UploadPartCommand).map(({ args }) => args[0].input.Body as Buffer);
  expect(new Set(bodies.map(({ buffer }) => buffer)).size).toBe(bodies.length);
});

it("a request handler of the caller's may keep the bodies of its requests", async () => {
  const kept: Buffer[] = [];
  const answers: Record<string, string> = {
    POST: "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    PUT: "",
  };
  const requestHandler = {
    async handle({ method, body }: { method: string; body?: Buffer }) {
      if (method === "PUT" && body) kept.push(body);
      return {
        response: { statusCode: 200, headers: { etag: '"e"' }, body: Buffer.from(answers[method] ?? "") },
      };
    },
  };
  const { region, credentials } = local.aws.s3Config;
  const s3 = new S3Client({ region, credentials, requestHandler: requestHandler as never });
  await put(s3).catch(() => undefined);
  expect(kept.length).toBe(10);
  expect(new Set(kept.map(({ buffer }) => buffer)).size).toBe(kept.length);
});
