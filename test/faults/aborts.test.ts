/** A caller who aborts while S3 or KMS does not respond, at every stage of a call. */
import type { Readable } from "node:stream";
import { S3Client } from "@aws-sdk/client-s3";
import { expect, it } from "vitest";
import { type EnvelopeClient, kmsKeyring } from "../../src/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { Bucket, s3PartBytes, useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";

const local = useLocalAws();
const old = testBytes(40_000, 1);
const small = testBytes(50_000, 2);
const large = testBytes(2 * s3PartBytes + 9, 3);

/** Its parts are more than the sockets buffer: S3 learns that a client has left when it reads from the connection. */
function clientOfLargeParts(): EnvelopeClient {
  const keyring = kmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
  return local.clientWith({ keyring, partSizeBytes: s3PartBytes });
}

/** Waits until S3 has seen that the connections of the clients are closed. */
async function disconnected(): Promise<void> {
  await local.settle();
  await until(async () => expect(await local.aws.s3Connections()).toBe(0));
}

const stages: [operation: string, act: "get" | "put", bytes: Buffer][] = [
  ["GenerateDataKey", "put", small],
  ["PutObject", "put", small],
  ["CreateMultipartUpload", "put", large],
  ["UploadPart", "put", large],
  ["Decrypt", "get", old],
  ["GetObject", "get", old],
];

it.each(stages)(
  "%s gets no response: the call ends with the reason of the signal",
  async (operation, act, Body) => {
    const { aws } = local;
    const client = clientOfLargeParts();
    const at = { Bucket, Key: `abort-${operation}` };
    await client.put({ ...at, Body: old });
    const before = await local.contents();
    aws.clearRequests();
    const held = aws.hold({ operation });
    const controller = new AbortController();
    const options = { abortSignal: controller.signal };
    const call = errorOf(() =>
      act === "get" ? client.get(at, options) : client.put({ ...at, Body }, options),
    );
    await held.arrived;
    const reason = new Error("enough");
    controller.abort(reason);
    // The call waits for an upload that is being created, to abort it.
    if (operation === "CreateMultipartUpload") held.release();
    expect(await call).toBe(reason);
    await disconnected();
    // The abandoned request continues in S3: its effect must not be visible either.
    held.release();
    await local.settle();
    expect(await local.contents()).toEqual(before);
    expectBytes(await (await client.get(at)).Body.transformToByteArray(), old);
  },
);

it("CompleteMultipartUpload gets no response: the object is the old one or the new one, and no upload is left behind", async () => {
  const { aws, kmsClient: client } = local;
  const at = { Bucket, Key: "abort-complete" };
  await client.put({ ...at, Body: old });
  const held = aws.hold({ operation: "CompleteMultipartUpload" });
  const controller = new AbortController();
  const call = errorOf(() => client.put({ ...at, Body: large }, { abortSignal: controller.signal }));
  await held.arrived;
  controller.abort(new Error("enough"));
  expect((await call).message).toBe("enough");
  held.release();
  await local.settle();
  expect((await local.contents()).uploads).toEqual([]);
  const bytes = await (await client.get(at)).Body.transformToByteArray();
  expectBytes(bytes, bytes.length === old.length ? old : large);
});

it.each(["put", "multipart", "get", "head", "delete"] as const)(
  "credentials never arrive: %s ends with the reason of the signal",
  async (act) => {
    const at = { Bucket, Key: "abort-credentials" };
    const controller = new AbortController();
    const credentials = () => {
      setImmediate(() => controller.abort(new Error("enough")));
      return new Promise<never>(() => undefined);
    };
    const s3 = new S3Client({ ...local.aws.s3Config, credentials });
    const client = local.clientWith({ s3 });
    const options = { abortSignal: controller.signal };
    const calls = {
      put: () => client.put({ ...at, Body: small }, options),
      multipart: () => client.put({ ...at, Body: large }, options),
      get: () => client.get(at, options),
      head: () => client.head(at, options),
      delete: () => client.delete(at, options),
    };
    expect(await errorOf(calls[act])).toBe(options.abortSignal.reason);
    expect(local.aws.requests).toEqual([]);
    s3.destroy();
  },
);

it("HeadObject after a lost response of PutObject gets no response: put ends with the reason of the signal", async () => {
  const { aws } = local;
  aws.fault({ operation: "PutObject", reset: "after", times: 2 });
  const held = aws.hold({ operation: "HeadObject" });
  const controller = new AbortController();
  const call = errorOf(() =>
    local.client.put({ Bucket, Key: "abort-look-up", Body: small }, { abortSignal: controller.signal }),
  );
  await held.arrived;
  const reason = new Error("enough");
  controller.abort(reason);
  expect(await call).toBe(reason);
});

it("HeadObject after a refused If-Match gets no response: get ends with the reason of the signal", async () => {
  const { aws, client } = local;
  const at = { Bucket, Key: "abort-if-match" };
  const { ETag } = await client.put({ ...at, Body: small });
  aws.fault({ operation: "GetObject", status: 412, code: "PreconditionFailed" });
  using held = aws.hold({ operation: "HeadObject" });
  const controller = new AbortController();
  const call = errorOf(() => client.get({ ...at, IfMatch: ETag }, { abortSignal: controller.signal }));
  await held.arrived;
  const reason = new Error("enough");
  controller.abort(reason);
  expect(await call).toBe(reason);
});

it("a response is held in middleware of the caller when the signal aborts: the error of its body needs no listener", async () => {
  const s3 = new S3Client(local.aws.s3Config);
  const controller = new AbortController();
  const reason = new Error("enough");
  let body: Readable | undefined;
  s3.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      controller.abort(reason);
      body = (result.output as { Body: Readable }).Body;
      await until(() => expect(body?.destroyed).toBe(true));
      return result;
    },
    { step: "initialize" },
  );
  const at = { Bucket, Key: "abort-middleware" };
  // One part, so that the SDK verifies the body; too large to have arrived already.
  await local.client.put({ ...at, Body: testBytes(s3PartBytes - 100_000) });
  const options = { abortSignal: controller.signal };
  expect(await errorOf(() => local.clientWith({ s3 }).get(at, options))).toBe(reason);
  // An error event without a listener would end this process.
  await local.settle();
  s3.destroy();
});
