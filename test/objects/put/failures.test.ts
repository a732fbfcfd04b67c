import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import {
  AbortMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { EnvelopeClient, type EnvelopeError, kmsKeyring } from "../../../src/index.js";
import { cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, s3PartBytes, useLocalAws } from "../../support/local.js";
import { until } from "../../support/until.js";

const local = useLocalAws();
const large = testBytes(4 * partBytes, 5);
const Key = "victim";

/** After each test: no object at the key, no upload, and no request in progress. */
afterEach(async () => expect(await local.removeAll()).toEqual({ keys: [], uploads: [] }));

/** Yields `bytes`, then calls `then`. */
async function* after(bytes: Uint8Array, then: () => unknown): AsyncGenerator<Uint8Array> {
  yield* cut(bytes, 65_536);
  await then();
}
const never = () => new Promise(() => undefined);
const fail = (error: unknown) => () => Promise.reject(error);

describe("put of a source that fails", () => {
  const failure = new Error("disk on fire");
  it.each([
    ["at once", 0],
    ["within the first part", 10_000],
    ["after the first part", partBytes + 10_000],
    ["after three parts", 3 * partBytes + 10_000],
  ])("put of a source that fails, %s: rejects with its error as the cause", async (_, bytes) => {
    const Body = after(large.subarray(0, bytes), fail(failure));
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body }));
    expect(error).toEqual(coded("SOURCE_FAILED", { bytesRead: bytes }));
    expect(error.cause).toBe(failure);
  });

  it("put of a stream that closes too early rejects", async () => {
    const Body = new Readable({ read() {} });
    Body.push(testBytes(10));
    const call = errorOf(() => local.client.put({ Bucket, Key, Body }));
    await until(() => expect([Body.readableDidRead, Body.readableLength]).toEqual([true, 0]));
    Body.destroy();
    const error = await call;
    expect(error).toEqual(coded("SOURCE_FAILED", { bytesRead: 10 }));
    expect(error.message).toBe("Body: the stream closed before it ended, after 10 bytes");
  });

  it("put of pieces that are no bytes rejects and names their type", async () => {
    for (const piece of [5, null, {}, [1], new Uint16Array(2)]) {
      const Body = Readable.from([piece === null ? { not: "bytes" } : piece]);
      const error = await errorOf(() => local.client.put({ Bucket, Key, Body }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^Body: each piece: expected a Uint8Array or string, got /);
    }
  });

  it("put of strings that are cut within a character rejects, as UTF-8 would lose it", async () => {
    const Body = Readable.from(["\ud83d", "\ude00"]);
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body }));
    expect(error).toEqual(
      new RangeError("Body: each piece: expected well-formed Unicode, got a lone surrogate"),
    );
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });
});

describe("put of a source that stalls", () => {
  it.each([
    ["at once", 0],
    ["after two parts", 2 * partBytes + 1000],
  ])("put of a source that stalls, %s: rejects after idleTimeoutMs", async (_, bytes) => {
    const client = local.clientWith({ idleTimeoutMs: 60 });
    const error = await errorOf(() =>
      client.put({ Bucket, Key, Body: after(large.subarray(0, bytes), never) }),
    );
    expect(error).toEqual(coded("SOURCE_STALLED", { bytesRead: bytes, idleTimeoutMs: 60 }));
  });

  it("put of a slow source succeeds as long as bytes arrive", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const client = local.clientWith({ idleTimeoutMs: 60_000 });
    const Body = (async function* () {
      for (let piece = 0; piece < 5; piece++) {
        await new Promise(setImmediate);
        vi.advanceTimersByTime(25_000);
        yield Buffer.of(piece);
      }
    })();
    await client.put({ Bucket, Key, Body });
    vi.useRealTimers();
    const { Body: back } = await client.get({ Bucket, Key });
    expect([...(await back.transformToByteArray())]).toEqual([0, 1, 2, 3, 4]);
    await client.delete({ Bucket, Key });
  });
});

describe("put with a wrong ContentLength", () => {
  it.each([
    ["too short, small", 10, 11],
    ["too long, small", 11, 10],
    ["too short, large", 3 * partBytes, 3 * partBytes + 1],
    ["too long, large", 3 * partBytes + 1, 3 * partBytes],
    ["not empty", 1, 0],
    ["empty", 0, 1],
  ])("put with a wrong ContentLength rejects: %s", async (_, actual, ContentLength) => {
    const Body = after(large.subarray(0, actual), () => undefined);
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body, ContentLength }));
    expect(error).toEqual(coded("SOURCE_LENGTH_MISMATCH", { expected: ContentLength }));
  });
});

describe("put closes its source", () => {
  const denied = { ...keyring, generateDataKey: () => Promise.reject(new Error("no key")) };
  it("put closes its source when the keyring fails before a byte was read", async () => {
    const client = local.clientWith({ keyring: denied });
    const file = createReadStream(fileURLToPath(import.meta.url));
    const cancel = vi.fn();
    const web = new ReadableStream<Uint8Array>({ cancel });
    const finished = vi.fn();
    const iterable = {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: never as () => Promise<IteratorResult<Uint8Array>>,
      return: finished,
    };
    for (const Body of [file, web, iterable]) {
      expect(await errorOf(() => client.put({ Bucket, Key, Body }))).toEqual(new Error("no key"));
    }
    await until(() => expect(file.destroyed).toBe(true));
    await until(() => expect(cancel).toHaveBeenCalled());
    await until(() => expect(finished).toHaveBeenCalled());
  });

  it("put closes its source when S3 fails while it is read", async () => {
    local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
    const Body = Readable.from(after(large, never));
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body }))).toEqual(coded("S3_ACCESS_DENIED"));
    await until(() => expect(Body.destroyed).toBe(true));
  });
});

describe("aborting a put", () => {
  const reason = new Error("user went away");

  it("put with an aborted signal sends nothing", async () => {
    const abortSignal = AbortSignal.abort(reason);
    const Body = Readable.from([testBytes(10)]);
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body }, { abortSignal }))).toBe(reason);
    expect(local.operations()).toEqual([]);
    await until(() => expect(Body.destroyed).toBe(true));
  });

  it("put that is aborted while the source waits rejects with the reason", async () => {
    const controller = new AbortController();
    const Body = after(large.subarray(0, 2 * partBytes + 1000), () => {
      controller.abort(reason);
      return never();
    });
    expect(
      await errorOf(() => local.client.put({ Bucket, Key, Body }, { abortSignal: controller.signal })),
    ).toBe(reason);
    expect(local.operations()).toContain("AbortMultipartUpload");
  });

  it.each(["GenerateDataKey", "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])(
    "put that is aborted while %s is in progress rejects with the reason",
    async (operation) => {
      const controller = new AbortController();
      const held = local.aws.hold({ operation });
      const hasParts = operation !== "PutObject" && operation !== "GenerateDataKey";
      // More than the sockets buffer: S3 learns that a client has left when it reads from the connection.
      const Body = hasParts ? testBytes(2 * s3PartBytes, 5) : "small";
      const keyring = kmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
      const client = local.clientWith({ keyring, partSizeBytes: s3PartBytes });
      const call = client.put({ Bucket, Key, Body }, { abortSignal: controller.signal });
      const error = errorOf(() => call);
      await held.arrived;
      controller.abort(reason);
      // The call waits for the creation of an upload, to abort it; other abandoned requests must have no effect either.
      if (operation === "CreateMultipartUpload") held.release();
      expect(await error).toBe(reason);
      // S3 sees the closed connection before the request continues.
      await local.settle();
      await until(async () => expect(await local.aws.s3Connections()).toBe(0));
      held.release();
      await local.settle();
    },
  );

  it("put that is aborted during CreateMultipartUpload rejects once the created upload has been aborted", async () => {
    const controller = new AbortController();
    const held = local.aws.hold({ operation: "CreateMultipartUpload" });
    const call = local.client.put({ Bucket, Key, Body: large }, { abortSignal: controller.signal });
    const error = errorOf(() => call);
    await held.arrived;
    controller.abort(reason);
    held.release();
    expect(await error).toBe(reason);
    expect(local.operations()).toEqual(["CreateMultipartUpload", "AbortMultipartUpload"]);
  });

  it("put that is aborted while a keyring ignores the signal rejects with the reason", async () => {
    const controller = new AbortController();
    const { signal: abortSignal } = controller;
    const generateDataKey = () => {
      controller.abort(reason);
      return never() as Promise<never>;
    };
    const deaf = { ...keyring, generateDataKey };
    const call = local.clientWith({ keyring: deaf }).put({ Bucket, Key, Body: "x" }, { abortSignal });
    expect(await errorOf(() => call)).toBe(reason);
  });

  it("an abort after the end of a put changes nothing", async () => {
    const controller = new AbortController();
    await local.client.put({ Bucket, Key, Body: large }, { abortSignal: controller.signal });
    controller.abort(reason);
    const { Body } = await local.client.get({ Bucket, Key });
    expectBytes(await Body.transformToByteArray(), large);
    await local.client.delete({ Bucket, Key });
  });

  it("put leaves no listener on the signal of the caller", async () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, "removeEventListener");
    const add = vi.spyOn(signal, "addEventListener");
    await local.client.put({ Bucket, Key, Body: "x" }, { abortSignal: signal });
    await local.client.delete({ Bucket, Key });
    expect(remove.mock.calls.length).toBe(add.mock.calls.length);
  });
});

describe("failures of S3 during a put", () => {
  it.each([
    ["CreateMultipartUpload", 0],
    ["UploadPart", 0],
    ["UploadPart", 2],
    ["CompleteMultipartUpload", 0],
  ])(
    "put rejects with the first failure and leaves nothing behind when %s fails after %i that succeeded",
    async (operation, skip) => {
      local.aws.fault({ operation, skip, status: 403, code: "AccessDenied" });
      const error = await errorOf(() => local.client.put({ Bucket, Key, Body: large }));
      expect(error).toEqual(
        coded("S3_ACCESS_DENIED", { operation, bucket: Bucket, key: Key, serviceError: "AccessDenied" }),
      );
      expect((error.cause as Error).name).toBe("AccessDenied");
      const seen = local.operations();
      expect(seen.filter((one) => one === "AbortMultipartUpload")).toHaveLength(
        operation.startsWith("Create") ? 0 : 1,
      );
      // An abandoned part may arrive after that.
      if (operation.startsWith("Create")) expect(seen).toEqual([operation]);
    },
  );

  it("a failure of S3 stops the reading of the source, and put waits for the parts in flight", async () => {
    local.aws.fault({ operation: "UploadPart", skip: 1, status: 500 });
    const held = local.aws.hold({ operation: "UploadPart", times: 9 });
    let read = 0;
    const Body = (async function* () {
      for (; read < 1000; read++) yield testBytes(1024 * 1024);
    })();
    const call = errorOf(() => local.client.put({ Bucket, Key, Body }));
    await until(() => expect(local.aws.requests.map(({ status }) => status)).toContain(500));
    held.release();
    expect(await call).toEqual(coded("S3_UNAVAILABLE"));
    expect(read).toBeLessThan(60);
    const open = local.aws.requests.filter(
      ({ operation, status }) => operation === "UploadPart" && status === 0,
    );
    await local.settle();
    expect((await local.contents()).uploads).toEqual([]);
    expect(open.length).toBeLessThanOrEqual(4);
  });

  it("a failed put names the upload that could not be aborted", async () => {
    local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
    local.aws.fault({ operation: "AbortMultipartUpload", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body: large }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { orphanedUploadId: expect.any(String) }));
    const { orphanedUploadId } = (error as EnvelopeError).details;
    expect(error.message).toContain(String(orphanedUploadId));
    expect((error.cause as Error).name).toBe("AccessDenied");
    await local.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: String(orphanedUploadId) }));
  });

  it("a failed put does not name an upload that does not exist any more", async () => {
    local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
    local.aws.fault({ operation: "AbortMultipartUpload", status: 404, code: "NoSuchUpload" });
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body: large }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED"));
    expect((error as EnvelopeError).details).not.toHaveProperty("orphanedUploadId");
    const { Uploads = [] } = await local.s3.send(new ListMultipartUploadsCommand({ Bucket }));
    for (const { UploadId } of Uploads) {
      await local.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    }
  });

  it.each([
    ["status 500 of another name", { status: 500, code: "Odd" }, "S3_UNAVAILABLE"],
    ["status 429 of another name", { status: 429, code: "Odd" }, "S3_UNAVAILABLE"],
    ["status 500", { status: 500, code: "InternalError" }, "S3_UNAVAILABLE"],
    ["status 503", { status: 503, code: "SlowDown" }, "S3_UNAVAILABLE"],
    ["a broken connection", { reset: "before" }, "S3_UNAVAILABLE"],
    ["an unsupported operation", { status: 501, code: "NotImplemented" }, "S3_REQUEST_FAILED"],
    ["an unsupported protocol", { status: 505, code: "Odd" }, "S3_REQUEST_FAILED"],
    ["an expired token", { status: 400, code: "ExpiredToken" }, "S3_ACCESS_DENIED"],
    ["an archived object", { status: 403, code: "InvalidObjectState" }, "S3_REQUEST_FAILED"],
    ["status 403", { status: 403, code: "SignatureDoesNotMatch" }, "S3_ACCESS_DENIED"],
    ["status 404", { status: 404, code: "NoSuchBucket" }, "S3_NOT_FOUND"],
    ["status 409", { status: 409, code: "Odd" }, "S3_PRECONDITION_FAILED"],
    ["a concurrent write", { status: 409, code: "ConditionalRequestConflict" }, "S3_UNAVAILABLE"],
    ["a concurrent request", { status: 409, code: "OperationAborted" }, "S3_UNAVAILABLE"],
    ["damaged bytes", { status: 400, code: "BadDigest" }, "S3_UNAVAILABLE"],
    ["damaged signed bytes", { status: 400, code: "XAmzContentSHA256Mismatch" }, "S3_UNAVAILABLE"],
    ["missing bytes", { status: 400, code: "IncompleteBody" }, "S3_UNAVAILABLE"],
    ["status 408", { status: 408, code: "Odd" }, "S3_UNAVAILABLE"],
    ["status 400", { status: 400, code: "InvalidArgument" }, "S3_REQUEST_FAILED"],
    ["a store with less room for metadata", { status: 400, code: "MetadataTooLarge" }, "ENVELOPE_TOO_LARGE"],
  ] as const)("put maps %s to a code", async (_, fault, code) => {
    local.aws.fault({ operation: "PutObject", ...fault });
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body: "x" }))).toEqual(coded(code));
  });
});

describe("put whose request cannot be made", () => {
  const credentialFault = Object.assign(new Error("none"), { name: "CredentialsProviderError" });
  const refused = () => Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
  const unreachable = Object.assign(new AggregateError([refused(), refused()]), { code: "ECONNREFUSED" });
  it.each([
    ["no credentials", credentialFault, "S3_ACCESS_DENIED"],
    ["no address of the host responds", unreachable, "S3_UNAVAILABLE"],
  ] as const)("put whose request cannot be made rejects with a code: %s", async (_, cause, code) => {
    const s3 = { config: local.s3.config, send: () => Promise.reject(cause) } as unknown as S3Client;
    const error = await errorOf(() => local.clientWith({ s3 }).put({ Bucket, Key, Body: "x" }));
    expect(error).toEqual(coded(code));
    expect(error.cause).toBe(cause);
  });
});

describe("a response of KMS that cannot be parsed", () => {
  it.each([0, 1])(
    "put with a KMS response that cannot be parsed at byte %i reveals nothing of its data key",
    async (offset) => {
      local.aws.fault({ service: "kms", operation: "GenerateDataKey", corrupt: { offset, xor: 3 } });
      const error = await errorOf(() => local.kmsClient.put({ Bucket, Key, Body: "x" }));
      expect(error).toEqual(coded("KMS_REQUEST_FAILED", { serviceError: "SyntaxError" }));
      const everything = inspect(error, { showHidden: true, depth: 20, maxStringLength: 10_000 });
      expect(everything).not.toMatch(/"KeyId"|Plaintext|CiphertextBlob/);
    },
  );
});

describe("a response that is lost", () => {
  const retrying = () => {
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
    return new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes });
  };
  const expectStored = async (plaintext: Uint8Array) => {
    const { Body } = await local.client.get({ Bucket, Key });
    expectBytes(await Body.transformToByteArray(), plaintext);
    await local.client.delete({ Bucket, Key });
  };

  it("put whose CompleteMultipartUpload loses its response finds the object by its salt", async () => {
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    const output = await retrying().put({ Bucket, Key, Body: large });
    expect(output.ETag).toMatch(/-5"$/);
    expect(local.operations().slice(-3)).toEqual([
      "CompleteMultipartUpload",
      "CompleteMultipartUpload",
      "HeadObject",
    ]);
    await expectStored(large);
  });

  it("put whose CompleteMultipartUpload loses its response finds the object without a retry as well", async () => {
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    await local.client.put({ Bucket, Key, Body: large });
    await expectStored(large);
  });

  it("put whose conditional PutObject loses its response recognizes its own object", async () => {
    local.aws.fault({ operation: "PutObject", reset: "after" });
    await retrying().put({ Bucket, Key, Body: "mine", IfNoneMatch: "*" });
    expect(local.operations()).toEqual(["PutObject", "PutObject", "HeadObject"]);
    await expectStored(Buffer.from("mine"));
  });

  it("put whose response is lost rejects when the object is of another write", async () => {
    await local.client.put({ Bucket, Key, Body: "their" });
    local.aws.fault({ operation: "PutObject", reset: "before" });
    // Of the same length, so that only the salt distinguishes them.
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body: "mine!" }))).toEqual(
      coded("S3_UNAVAILABLE"),
    );
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body: "mine!", IfNoneMatch: "*" }))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    await expectStored(Buffer.from("their"));
  });

  it("put whose response is lost looks the object up with the customer key, and compares salt and size", async () => {
    const s3 = new S3Client({ region: "eu-central-1" });
    const mock = mockClient(s3);
    const lost = Object.assign(new Error("lost"), { name: "TimeoutError" });
    const metadata = () => mock.commandCalls(PutObjectCommand).at(-1)?.args[0].input.Metadata ?? {};
    const customer = { SSECustomerAlgorithm: "AES256", SSECustomerKey: "key", SSECustomerKeyMD5: "md5" };
    const put = () =>
      new EnvelopeClient({ s3, keyring }).put({
        Bucket,
        Key,
        Body: "mine",
        ExpectedBucketOwner: "111122223333",
        ...customer,
      });
    mock.on(PutObjectCommand).rejects(lost);
    mock.on(HeadObjectCommand).callsFake(() => ({ ContentLength: 76, Metadata: metadata(), ETag: '"e"' }));
    expect(await put()).toMatchObject({ ETag: '"e"', ciphertextLength: 76 });
    expect(mock.commandCalls(HeadObjectCommand)[0]?.args[0].input).toEqual({
      Bucket,
      Key,
      ExpectedBucketOwner: "111122223333",
      ...customer,
    });
    mock.on(HeadObjectCommand).callsFake(() => ({ ContentLength: 75, Metadata: metadata() }));
    expect(await errorOf(put)).toEqual(coded("S3_UNAVAILABLE"));
    mock
      .on(HeadObjectCommand)
      .callsFake(() => ({ ContentLength: 76, Metadata: { ...metadata(), "s3e-salt": "other" } }));
    expect(await errorOf(put)).toEqual(coded("S3_UNAVAILABLE"));
  });
});
