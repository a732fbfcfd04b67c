import { DeleteObjectCommand, HeadObjectCommand, type PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, describe, expect, it } from "vitest";
import { EnvelopeClient, EnvelopeError } from "../../src/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const client = () => local.clientWith({ envelopeStorage: "sidecar" });
const sidecars = async () => (await local.contents()).keys.filter((key) => key.endsWith(".envelope"));
const remove = async () => {
  for (const Key of (await local.contents()).keys)
    await local.s3.send(new DeleteObjectCommand({ Bucket, Key }));
};

describe("an envelope in a sidecar", () => {
  afterEach(remove);

  it("takes a context that metadata cannot, and is read back by any client", async () => {
    const encryptionContext = { long: "x".repeat(6000) };
    await client().put({ Bucket, Key: "k", Body: "hello", encryptionContext, Metadata: { note: "x" } });
    expect(local.operations()).toEqual(["PutObject", "PutObject"]);
    const object = await local.client.get({ Bucket, Key: "k", encryptionContext });
    expect(await object.Body.transformToString()).toBe("hello");
    expect(object).toMatchObject({ Metadata: { note: "x" }, encryptionContext });
    expect(local.operations()).toEqual(["GetObject", "GetObject"]);
    const range = await local.client.get({ Bucket, Key: "k", encryptionContext, Range: "bytes=1-3" });
    expect(await range.Body.transformToString()).toBe("ell");
    expect(await local.client.head({ Bucket, Key: "k" })).toMatchObject({
      ContentLength: 5,
      encryptionContext,
    });
  });

  it("is asked for explicitly, for a client or for a call", async () => {
    await local.client.put({ Bucket, Key: "k", Body: "x", envelopeStorage: "sidecar" });
    expect(await sidecars()).toHaveLength(1);
    await client().put({ Bucket, Key: "m", Body: "x", envelopeStorage: "metadata" });
    expect(await sidecars()).toHaveLength(1);
  });

  it("belongs to one write: overwriting never touches the sidecar of the object that is there", async () => {
    await client().put({ Bucket, Key: "k", Body: "first" });
    const old = await local.getRaw("k");
    local.aws.fault({ operation: "PutObject", skip: 1, status: 403, code: "AccessDenied" });
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body: "second" }))).toEqual(
      coded("S3_ACCESS_DENIED"),
    );
    expect(await (await client().get({ Bucket, Key: "k" })).Body.transformToString()).toBe("first");
    expect(await sidecars()).toHaveLength(1);
    await client().put({ Bucket, Key: "k", Body: "third" });
    expect(await (await client().get({ Bucket, Key: "k" })).Body.transformToString()).toBe("third");
    await local.putRaw("k", old.bytes, old.metadata);
    expect(await (await client().get({ Bucket, Key: "k" })).Body.transformToString()).toBe("first");
  });

  it.each([
    ["small", testBytes(10)],
    ["large", testBytes(2 * partBytes)],
  ])("is removed when a %s write fails for sure, and kept when it may have succeeded", async (_, Body) => {
    const operation = Body.length > 10 ? "CompleteMultipartUpload" : "PutObject";
    const skip = Body.length > 10 ? 0 : 1;
    local.aws.fault({ operation, skip, status: 403, code: "AccessDenied" });
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body }))).toEqual(coded("S3_ACCESS_DENIED"));
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });

    local.aws.fault({ operation, skip, reset: "after" });
    local.aws.fault({ operation: "HeadObject", reset: "before" });
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body }))).toEqual(coded("S3_UNAVAILABLE"));
    expectBytes(await (await client().get({ Bucket, Key: "k" })).Body.transformToByteArray(), Body);
  });

  it.each([
    [408, "RequestTimeout"],
    [500, "Odd"],
  ])("is kept after the status %i, which does not say that nothing was stored", async (status, code) => {
    local.aws.fault({ operation: "PutObject", skip: 1, status, code });
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body: "x" }))).toEqual(
      coded("S3_UNAVAILABLE"),
    );
    expect(await sidecars()).toHaveLength(1);
  });

  it.each([
    ["412 and its lookup fails", 1000, { IfNoneMatch: "*" }, "HeadObject", "PutObject", 1],
    ["403", 1000, {}, "PutObject", "PutObject", 1],
    ["NoSuchUpload and its lookup fails", partBytes + 1, {}, "HeadObject", "CompleteMultipartUpload", 0],
  ] as const)(
    "is kept when the write took effect, but its retry gets %s",
    async (_, bytes, input, refused, lost, skip) => {
      const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
      local.aws.fault({ operation: lost, skip, reset: "after" });
      local.aws.fault({
        operation: refused,
        skip: refused === lost ? skip : 0,
        status: 403,
        code: "AccessDenied",
      });
      const plaintext = testBytes(bytes);
      const writer = local.clientWith({ s3, envelopeStorage: "sidecar" });
      const given = { Bucket, Key: "k", Body: plaintext, ...input };
      if (refused === lost) await writer.put(given);
      else expect(await errorOf(() => writer.put(given))).toBeInstanceOf(EnvelopeError);
      s3.destroy();
      local.aws.clearFaults();
      expectBytes(
        await (await local.client.get({ Bucket, Key: "k" })).Body.transformToByteArray(),
        plaintext,
      );
    },
  );

  it("that cannot be removed does not hide why the write failed", async () => {
    local.aws.fault({ operation: "PutObject", skip: 1, status: 412, code: "PreconditionFailed" });
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body: "x" }))).toEqual(
      coded("S3_PRECONDITION_FAILED", { operation: "PutObject", key: "k" }),
    );
  });

  it("is kept when the object was stored and the caller aborts with the error of another call", async () => {
    const controller = new AbortController();
    const reason = new EnvelopeError("S3_ACCESS_DENIED", "of another call", {
      details: { httpStatusCode: 403 },
    });
    const send = async (command: PutObjectCommand) => {
      const output = await local.s3.send(command);
      if (command.input.Key !== "k") return output;
      controller.abort(reason);
      throw Object.assign(new Error("aborted"), { name: "AbortError" });
    };
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    const call = local
      .clientWith({ s3, envelopeStorage: "sidecar" })
      .put({ Bucket, Key: "k", Body: "x" }, { abortSignal: controller.signal });
    expect(await errorOf(() => call)).toBe(reason);
    expect(await (await local.client.get({ Bucket, Key: "k" })).Body.transformToString()).toBe("x");
  });

  it("is read no further than an envelope can go, and no longer than the caller waits", async () => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    local.operations();
    (await client().get({ Bucket, Key: "k" })).Body.destroy();
    expect(local.aws.requests[1]?.headers.range).toBe("bytes=0-262144");
    local.aws.fault({ operation: "GetObject", skip: 1, stallBodyBytes: 10 });
    const abortSignal = AbortSignal.timeout(50);
    expect(await errorOf(() => client().get({ Bucket, Key: "k" }, { abortSignal }))).toBe(abortSignal.reason);
  });

  it("is removed when the source fails", async () => {
    const Body = (async function* () {
      yield testBytes(2 * partBytes);
      throw new Error("broken");
    })();
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body }))).toEqual(coded("SOURCE_FAILED"));
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });

  it("that is gone, foreign or malformed is told", async () => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    const [Key = ""] = await sidecars();
    const { bytes } = await local.getRaw(Key);
    const get = () => errorOf(() => client().get({ Bucket, Key: "k" }));
    await local.s3.send(new DeleteObjectCommand({ Bucket, Key }));
    expect(await get()).toEqual(coded("ENVELOPE_MISSING", { sidecarKey: Key }));
    await local.putRaw(Key, Buffer.from(bytes.toString().replace("Cobblestone-256", "Cobblestone-128")));
    expect(await get()).toEqual(coded("ENVELOPE_VERSION_UNSUPPORTED"));
    await local.putRaw(Key, Buffer.from("{}"));
    expect(await get()).toEqual(coded("ENVELOPE_INVALID"));
    await local.putRaw(Key, Buffer.alloc(1_000_000, " "));
    expect(await get()).toEqual(coded("ENVELOPE_INVALID"));
    local.aws.fault({ operation: "GetObject", skip: 1, status: 503, code: "SlowDown" });
    expect(await get()).toEqual(coded("S3_UNAVAILABLE"));
  });

  it("is removed with its object", async () => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    local.operations();
    await client().delete({ Bucket, Key: "k" });
    const [, first, second] = local.aws.requests.map(({ path }) => path);
    expect(first).toBe(`/${Bucket}/k`);
    expect(second).toMatch(/\.envelope$/);
    expect(local.operations()).toEqual(["HeadObject", "DeleteObject", "DeleteObject"]);
    expect((await local.contents()).keys).toEqual([]);
    await client().delete({ Bucket, Key: "nowhere" });
    await local.client.put({ Bucket, Key: "k", Body: "x" });
    local.operations();
    await client().delete({ Bucket, Key: "k" });
    expect(local.operations()).toEqual(["HeadObject", "DeleteObject"]);
  });

  it("is kept when a delete marker only hides its object", async () => {
    const s3 = new S3Client({ region: "eu-central-1" });
    const mock = mockClient(s3);
    await client().put({ Bucket, Key: "k", Body: "x" });
    const { metadata } = await local.getRaw("k");
    await remove();
    mock.onAnyCommand().resolves({ Metadata: metadata, DeleteMarker: true } as never);
    const versioned = { Bucket, Key: "k", VersionId: "v1" };
    await new EnvelopeClient({ s3, keyring, envelopeStorage: "sidecar" }).delete(versioned);
    expect(mock.commandCalls(HeadObjectCommand)[0]?.args[0].input).toMatchObject(versioned);
    expect(mock.commandCalls(DeleteObjectCommand).map(({ args }) => args[0].input.Key)).toEqual(["k"]);
  });

  it("needs a key that leaves room for its name", async () => {
    const error = await errorOf(() => client().put({ Bucket, Key: "k".repeat(1000), Body: "x" }));
    expect(error).toBeInstanceOf(RangeError);
    expect(local.operations()).toEqual([]);
  });
});
