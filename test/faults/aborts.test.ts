/** A request that S3 or KMS does not answer, and a caller who has had enough: at every stage of a call. */
import type { Readable } from "node:stream";
import { S3Client } from "@aws-sdk/client-s3";
import { expect, it } from "vitest";
import { expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { Bucket, partBytes, useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";

const local = useLocalAws();
const old = testBytes(40_000, 1);
const small = testBytes(50_000, 2);
const large = testBytes(2 * partBytes + 9, 3);

/** Waits until S3 has seen that the clients here have left. */
async function left(): Promise<void> {
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
  "%s without an answer: the call ends with the signal's reason",
  async (operation, act, Body) => {
    const { aws, kmsClient: client } = local;
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
    // An upload that is being made is waited for, to abort it.
    if (operation === "CreateMultipartUpload") held.release();
    expect(await call).toBe(reason);
    await left();
    // The request that was given up goes on: what it does must not be seen either.
    held.release();
    await local.settle();
    expect(await local.contents()).toEqual(before);
    expectBytes(await (await client.get(at)).Body.transformToByteArray(), old);
  },
);

it("CompleteMultipartUpload without an answer: the object is the old one or the new one, and no upload stays", async () => {
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
  "credentials that never come: %s ends with the signal's reason",
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

it("the look-up of an object whose answer was lost: the call ends with the signal's reason", async () => {
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

it("the look-up of an object whose If-Match was refused: the call ends with the signal's reason", async () => {
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

it("an answer that waits in middleware of the caller's when the signal comes: its body fails unheard", async () => {
  const s3 = new S3Client(local.aws.s3Config);
  const controller = new AbortController();
  const reason = new Error("enough");
  let body: Readable | undefined;
  s3.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      controller.abort(reason);
      body = (answer.output as { Body: Readable }).Body;
      await until(() => expect(body?.destroyed).toBe(true));
      return answer;
    },
    { step: "initialize" },
  );
  const at = { Bucket, Key: "abort-middleware" };
  // One part, so that the SDK checks the body; and too large to have come already.
  await local.client.put({ ...at, Body: testBytes(partBytes - 100_000) });
  const options = { abortSignal: controller.signal };
  expect(await errorOf(() => local.clientWith({ s3 }).get(at, options))).toBe(reason);
  // An error event that nobody listens to would end this process.
  await local.settle();
  s3.destroy();
});
