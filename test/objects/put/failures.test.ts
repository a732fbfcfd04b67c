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

/** After each test: nothing at the key, no upload, and no request that still runs. */
afterEach(async () => expect(await local.removeAll()).toEqual({ keys: [], uploads: [] }));

/** Yields `bytes`, then does `then`. */
async function* after(bytes: Uint8Array, then: () => unknown): AsyncGenerator<Uint8Array> {
  yield* cut(bytes, 65_536);
  await then();
}
const never = () => new Promise(() => undefined);
const fail = (error: unknown) => () => Promise.reject(error);

describe("a source that fails", () => {
  const failure = new Error("disk on fire");
  it.each([
    ["at once", 0],
    ["within the first part", 10_000],
    ["after the first part", partBytes + 10_000],
    ["after three parts", 3 * partBytes + 10_000],
  ])("%s rejects with its error as the cause", async (_, bytes) => {
    const Body = after(large.subarray(0, bytes), fail(failure));
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body }));
    expect(error).toEqual(coded("SOURCE_FAILED", { bytesRead: bytes }));
    expect(error.cause).toBe(failure);
  });

  it("by closing too early is no end of the body", async () => {
    const Body = new Readable({ read() {} });
    Body.push(testBytes(10));
    const call = errorOf(() => local.client.put({ Bucket, Key, Body }));
    await until(() => expect([Body.readableDidRead, Body.readableLength]).toEqual([true, 0]));
    Body.destroy();
    const error = await call;
    expect(error).toEqual(coded("SOURCE_FAILED", { bytesRead: 10 }));
    expect(error.message).toBe("Body: the stream closed before it ended, after 10 bytes");
  });

  it("with pieces that are no bytes names what came", async () => {
    for (const piece of [5, null, {}, [1], new Uint16Array(2)]) {
      const Body = Readable.from([piece === null ? { not: "bytes" } : piece]);
      const error = await errorOf(() => local.client.put({ Bucket, Key, Body }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^Body: each piece: expected a Uint8Array or string, got /);
    }
  });

  it("with strings cut inside a character is refused, as UTF-8 would lose it", async () => {
    const Body = Readable.from(["\ud83d", "\ude00"]);
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body }));
    expect(error).toEqual(
      new RangeError("Body: each piece: expected well-formed Unicode, got a lone surrogate"),
    );
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });
});

describe("a source that stalls", () => {
  it.each([
    ["at once", 0],
    ["after two parts", 2 * partBytes + 1000],
  ])("%s is given up after the idle timeout", async (_, bytes) => {
    const client = local.clientWith({ idleTimeoutMs: 60 });
    const error = await errorOf(() =>
      client.put({ Bucket, Key, Body: after(large.subarray(0, bytes), never) }),
    );
    expect(error).toEqual(coded("SOURCE_STALLED", { bytesRead: bytes, idleTimeoutMs: 60 }));
  });

  it("may be slow as long as it moves", async () => {
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

describe("a source of another length than stated", () => {
  it.each([
    ["too short, small", 10, 11],
    ["too long, small", 11, 10],
    ["too short, large", 3 * partBytes, 3 * partBytes + 1],
    ["too long, large", 3 * partBytes + 1, 3 * partBytes],
    ["not empty", 1, 0],
    ["empty", 0, 1],
  ])("%s", async (_, actual, ContentLength) => {
    const Body = after(large.subarray(0, actual), () => undefined);
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body, ContentLength }));
    expect(error).toEqual(coded("SOURCE_LENGTH_MISMATCH", { expected: ContentLength }));
  });
});

describe("the source is closed", () => {
  const denied = { ...keyring, generateDataKey: () => Promise.reject(new Error("no key")) };
  it("when the key fails before a byte was read", async () => {
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

  it("when S3 fails while it is read", async () => {
    local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
    const Body = Readable.from(after(large, never));
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body }))).toEqual(coded("S3_ACCESS_DENIED"));
    await until(() => expect(Body.destroyed).toBe(true));
  });
});

describe("aborting", () => {
  const reason = new Error("user went away");

  it("before the call sends nothing", async () => {
    const abortSignal = AbortSignal.abort(reason);
    const Body = Readable.from([testBytes(10)]);
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body }, { abortSignal }))).toBe(reason);
    expect(local.operations()).toEqual([]);
    await until(() => expect(Body.destroyed).toBe(true));
  });

  it("while the source waits", async () => {
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
    "while %s runs",
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
      // Creating an upload is waited for, to abort it; what was given up of the others must have no effect either.
      if (operation === "CreateMultipartUpload") held.release();
      expect(await error).toBe(reason);
      // S3 sees that the client has left before the request goes on.
      await local.settle();
      await until(async () => expect(await local.aws.s3Connections()).toBe(0));
      held.release();
      await local.settle();
    },
  );

  it("while CreateMultipartUpload runs rejects when the upload that it made has been aborted", async () => {
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

  it("while a keyring runs that does not listen", async () => {
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

  it("after the call changes nothing", async () => {
    const controller = new AbortController();
    await local.client.put({ Bucket, Key, Body: large }, { abortSignal: controller.signal });
    controller.abort(reason);
    const { Body } = await local.client.get({ Bucket, Key });
    expectBytes(await Body.transformToByteArray(), large);
    await local.client.delete({ Bucket, Key });
  });

  it("lets go of the caller's signal", async () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, "removeEventListener");
    const add = vi.spyOn(signal, "addEventListener");
    await local.client.put({ Bucket, Key, Body: "x" }, { abortSignal: signal });
    await local.client.delete({ Bucket, Key });
    expect(remove.mock.calls.length).toBe(add.mock.calls.length);
  });
});

describe("failures of S3", () => {
  it.each([
    ["CreateMultipartUpload", 0],
    ["UploadPart", 0],
    ["UploadPart", 2],
    ["CompleteMultipartUpload", 0],
  ])("%s, after %i of its kind, reject with the first cause and leave nothing", async (operation, skip) => {
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
    // A part that was given up may arrive after that.
    if (operation.startsWith("Create")) expect(seen).toEqual([operation]);
  });

  it("stop reading the source, and wait for every part in flight", async () => {
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

  it("name the upload that could not be aborted", async () => {
    local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
    local.aws.fault({ operation: "AbortMultipartUpload", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => local.client.put({ Bucket, Key, Body: large }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { orphanedUploadId: expect.any(String) }));
    const { orphanedUploadId } = (error as EnvelopeError).details;
    expect(error.message).toContain(String(orphanedUploadId));
    expect((error.cause as Error).name).toBe("AccessDenied");
    await local.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: String(orphanedUploadId) }));
  });

  it("know that an upload which is gone need not be aborted", async () => {
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
    ["what the store cannot do", { status: 501, code: "NotImplemented" }, "S3_REQUEST_FAILED"],
    ["what the store cannot speak", { status: 505, code: "Odd" }, "S3_REQUEST_FAILED"],
    ["an expired token", { status: 400, code: "ExpiredToken" }, "S3_ACCESS_DENIED"],
    ["an archived object", { status: 403, code: "InvalidObjectState" }, "S3_REQUEST_FAILED"],
    ["status 403", { status: 403, code: "SignatureDoesNotMatch" }, "S3_ACCESS_DENIED"],
    ["status 404", { status: 404, code: "NoSuchBucket" }, "S3_NOT_FOUND"],
    ["status 409", { status: 409, code: "Odd" }, "S3_PRECONDITION_FAILED"],
    ["another write", { status: 409, code: "ConditionalRequestConflict" }, "S3_UNAVAILABLE"],
    ["another request", { status: 409, code: "OperationAborted" }, "S3_UNAVAILABLE"],
    ["bytes that were damaged", { status: 400, code: "BadDigest" }, "S3_UNAVAILABLE"],
    ["signed bytes that were damaged", { status: 400, code: "XAmzContentSHA256Mismatch" }, "S3_UNAVAILABLE"],
    ["bytes that are missing", { status: 400, code: "IncompleteBody" }, "S3_UNAVAILABLE"],
    ["status 408", { status: 408, code: "Odd" }, "S3_UNAVAILABLE"],
    ["status 400", { status: 400, code: "InvalidArgument" }, "S3_REQUEST_FAILED"],
    ["a smaller store", { status: 400, code: "MetadataTooLarge" }, "ENVELOPE_TOO_LARGE"],
  ] as const)("by %s have their code", async (_, fault, code) => {
    local.aws.fault({ operation: "PutObject", ...fault });
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body: "x" }))).toEqual(coded(code));
  });
});

describe("a request that cannot be made", () => {
  const credentialFault = Object.assign(new Error("none"), { name: "CredentialsProviderError" });
  const refused = () => Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
  const unreachable = Object.assign(new AggregateError([refused(), refused()]), { code: "ECONNREFUSED" });
  it.each([
    ["for lack of credentials", credentialFault, "S3_ACCESS_DENIED"],
    ["as no address of the host answers", unreachable, "S3_UNAVAILABLE"],
  ] as const)("%s", async (_, cause, code) => {
    const s3 = { config: local.s3.config, send: () => Promise.reject(cause) } as unknown as S3Client;
    const error = await errorOf(() => local.clientWith({ s3 }).put({ Bucket, Key, Body: "x" }));
    expect(error).toEqual(coded(code));
    expect(error.cause).toBe(cause);
  });
});

describe("an answer of KMS that cannot be read", () => {
  it.each([0, 1])("(byte %i is wrong) shows nothing of the data key that is in it", async (offset) => {
    local.aws.fault({ service: "kms", operation: "GenerateDataKey", corrupt: { offset, xor: 3 } });
    const error = await errorOf(() => local.kmsClient.put({ Bucket, Key, Body: "x" }));
    expect(error).toEqual(coded("KMS_REQUEST_FAILED", { serviceError: "SyntaxError" }));
    const everything = inspect(error, { showHidden: true, depth: 20, maxStringLength: 10_000 });
    expect(everything).not.toMatch(/"KeyId"|Plaintext|CiphertextBlob/);
  });
});

describe("an answer that is lost", () => {
  const retrying = () => {
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
    return new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes });
  };
  const expectStored = async (plaintext: Uint8Array) => {
    const { Body } = await local.client.get({ Bucket, Key });
    expectBytes(await Body.transformToByteArray(), plaintext);
    await local.client.delete({ Bucket, Key });
  };

  it("of CompleteMultipartUpload is found out by the salt of the object", async () => {
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

  it("of CompleteMultipartUpload without a retry, too", async () => {
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    await local.client.put({ Bucket, Key, Body: large });
    await expectStored(large);
  });

  it("of a conditional PutObject, whose retry finds its own object in the way", async () => {
    local.aws.fault({ operation: "PutObject", reset: "after" });
    await retrying().put({ Bucket, Key, Body: "mine", IfNoneMatch: "*" });
    expect(local.operations()).toEqual(["PutObject", "PutObject", "HeadObject"]);
    await expectStored(Buffer.from("mine"));
  });

  it("is not taken for success when the object is another's", async () => {
    await local.client.put({ Bucket, Key, Body: "their" });
    local.aws.fault({ operation: "PutObject", reset: "before" });
    // Of the same length, so that the salt alone tells them apart.
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body: "mine!" }))).toEqual(
      coded("S3_UNAVAILABLE"),
    );
    expect(await errorOf(() => local.client.put({ Bucket, Key, Body: "mine!", IfNoneMatch: "*" }))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    await expectStored(Buffer.from("their"));
  });

  it("is looked up with the customer's key, and believed only when salt and size are those of the write", async () => {
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
