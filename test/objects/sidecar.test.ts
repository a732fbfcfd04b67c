import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  type PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, describe, expect, it, vi } from "vitest";
import { EnvelopeClient, EnvelopeError, type ErrorCode } from "../../src/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const client = () => local.clientWith({ envelopeStorage: "sidecar" });
const sidecars = async () => (await local.contents()).keys.filter((key) => key.endsWith(".envelope"));

/** An S3Client whose requests pass through a function. */
function sendingThrough(send: (command: { input: { Key?: string } }) => Promise<unknown>): S3Client {
  return { config: local.s3.config, send } as unknown as S3Client;
}

function raise(): never {
  throw new Error("unreachable");
}

describe("an envelope in a sidecar", () => {
  afterEach(() => local.removeAll());

  it("a sidecar holds a context that metadata cannot, and any client reads it", async () => {
    const encryptionContext = { long: "x".repeat(6000) };
    await client().put({ Bucket, Key: "k", Body: "hello", encryptionContext, Metadata: { note: "x" } });
    expect(local.operations()).toEqual(["PutObject", "PutObject"]);
    const object = await local.client.get({ Bucket, Key: "k", encryptionContext });
    expect(await object.Body.transformToString()).toBe("hello");
    expect(object).toMatchObject({ Metadata: { note: "x" }, encryptionContext });
    expect(local.aws.requests[2]?.headers["if-match"]).toBe(object.ETag);
    expect(local.operations()).toEqual(["GetObject", "GetObject", "GetObject"]);
    const range = await local.client.get({ Bucket, Key: "k", encryptionContext, Range: "bytes=1-3" });
    expect(await range.Body.transformToString()).toBe("ell");
    expect(await local.client.head({ Bucket, Key: "k" })).toMatchObject({
      ContentLength: 5,
      encryptionContext,
    });
  });

  it("a sidecar is written only if the client or the call says so", async () => {
    await local.client.put({ Bucket, Key: "k", Body: "x", envelopeStorage: "sidecar" });
    expect(await sidecars()).toHaveLength(1);
    await client().put({ Bucket, Key: "m", Body: "x", envelopeStorage: "metadata" });
    expect(await sidecars()).toHaveLength(1);
  });

  it("overwriting an object does not change the sidecar of the earlier object", async () => {
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
  ])(
    "the sidecar is removed when a %s write certainly failed, and kept when it may have succeeded",
    async (_, Body) => {
      const operation = Body.length > 10 ? "CompleteMultipartUpload" : "PutObject";
      const skip = Body.length > 10 ? 0 : 1;
      local.aws.fault({ operation, skip, status: 403, code: "AccessDenied" });
      expect(await errorOf(() => client().put({ Bucket, Key: "k", Body }))).toEqual(
        coded("S3_ACCESS_DENIED"),
      );
      expect(await local.contents()).toEqual({ keys: [], uploads: [] });

      local.aws.fault({ operation, skip, reset: "after" });
      local.aws.fault({ operation: "HeadObject", reset: "before" });
      expect(await errorOf(() => client().put({ Bucket, Key: "k", Body }))).toEqual(coded("S3_UNAVAILABLE"));
      expectBytes(await (await client().get({ Bucket, Key: "k" })).Body.transformToByteArray(), Body);
    },
  );

  it.each([
    [408, "RequestTimeout"],
    [500, "Odd"],
  ])(
    "the sidecar is kept after the status %i, which does not prove that nothing was stored",
    async (status, code) => {
      local.aws.fault({ operation: "PutObject", skip: 1, status, code });
      expect(await errorOf(() => client().put({ Bucket, Key: "k", Body: "x" }))).toEqual(
        coded("S3_UNAVAILABLE"),
      );
      expect(await sidecars()).toHaveLength(1);
    },
  );

  it.each([
    ["412 and its lookup fails", 1000, { IfNoneMatch: "*" }, "HeadObject", "PutObject", 1],
    ["403", 1000, {}, "PutObject", "PutObject", 1],
    ["NoSuchUpload and its lookup fails", partBytes + 1, {}, "HeadObject", "CompleteMultipartUpload", 0],
  ] as const)(
    "the sidecar is kept when the write took effect, but its retry gets %s",
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

  it("a sidecar that cannot be removed does not hide the failure of the write", async () => {
    local.aws.fault({ operation: "PutObject", skip: 1, status: 412, code: "PreconditionFailed" });
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => client().put({ Bucket, Key: "k", Body: "x" }));
    const [orphanedSidecarKey] = await sidecars();
    expect(error).toEqual(
      coded("S3_PRECONDITION_FAILED", { operation: "PutObject", key: "k", orphanedSidecarKey }),
    );
    expect(error.message).toContain(orphanedSidecarKey);
  });

  it("the sidecar is kept when the object was stored and the caller aborts with the error of another call", async () => {
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

  it("a sidecar is read up to the longest envelope, and until the caller aborts", async () => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    const held = local.aws.hold({ operation: "GetObject", skip: 1, at: "body", bodyBytes: 10 });
    const controller = new AbortController();
    const options = { abortSignal: controller.signal };
    const call = errorOf(() => client().get({ Bucket, Key: "k" }, options));
    await held.arrived;
    controller.abort(new Error("enough"));
    expect(await call).toBe(controller.signal.reason);
    const impatient = local.clientWith({ idleTimeoutMs: 50 });
    local.aws.fault({ operation: "GetObject", skip: 1, stallBodyBytes: 10 });
    expect(await errorOf(() => impatient.get({ Bucket, Key: "k" }))).toEqual(coded("BODY_STALLED"));
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 10 });
    expect(await errorOf(() => impatient.head({ Bucket, Key: "k" }))).toEqual(coded("BODY_STALLED"));
    let sent = 0;
    const s3 = sendingThrough(async (command) => {
      const output = (await local.s3.send(command as GetObjectCommand)) as object;
      if (!command.input.Key?.endsWith(".envelope")) return output;
      const endless = async function* () {
        for (; sent < 50_000_000; sent += 65_536) yield Buffer.alloc(65_536, " ");
      };
      return { ...output, ContentLength: undefined, Body: endless() };
    });
    expect(await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "k" }))).toEqual(
      coded("ENVELOPE_INVALID"),
    );
    expect(sent).toBeLessThan(400_000);
  });

  it("the sidecar is read without holding the connection of the body, so that one connection suffices for all reads", async () => {
    const s3 = new S3Client({ ...local.aws.s3Config, requestHandler: { httpAgent: { maxSockets: 1 } } });
    const reader = local.clientWith({ s3 });
    const bytes = testBytes(3_000_000);
    await client().put({ Bucket, Key: "k", Body: bytes });
    const read = async () => (await reader.get({ Bucket, Key: "k" })).Body.transformToByteArray();
    for (const plaintext of await Promise.all([read(), read(), read()])) expectBytes(plaintext, bytes);
    s3.destroy();
  });

  it("an object that was overwritten after its sidecar was read is reported as BODY_INTERRUPTED", async () => {
    await client().put({ Bucket, Key: "k", Body: "old" });
    let requests = 0;
    const s3 = sendingThrough(async (command) => {
      requests += 1;
      if (requests === 3) await client().put({ Bucket, Key: "k", Body: "new" });
      return local.s3.send(command as GetObjectCommand);
    });
    const reader = local.clientWith({ s3 });
    const error = await errorOf(() => reader.get({ Bucket, Key: "k" }));
    expect(error).toEqual(coded("BODY_INTERRUPTED", { key: "k" }));
    expect(error).toMatchObject({ retryable: true, cause: { code: "S3_PRECONDITION_FAILED" } });
    expect(await (await reader.get({ Bucket, Key: "k" })).Body.transformToString()).toBe("new");
    local.aws.fault({ operation: "GetObject", skip: 2, status: 503, code: "SlowDown" });
    expect(await errorOf(() => client().get({ Bucket, Key: "k" }))).toEqual(coded("S3_UNAVAILABLE"));
  });

  it.each<[string, () => Promise<unknown>, ErrorCode, boolean]>([
    ["deleted", () => client().delete({ Bucket, Key: "k" }), "S3_NOT_FOUND", false],
    [
      "deleted and written anew",
      async () => {
        await client().delete({ Bucket, Key: "k" });
        await client().put({ Bucket, Key: "k", Body: "new" });
      },
      "BODY_INTERRUPTED",
      true,
    ],
    ["as it was", async () => undefined, "ENVELOPE_MISSING", false],
  ])("a sidecar that is missing when it is read, its object %s", async (name, meanwhile, code, retryable) => {
    await client().put({ Bucket, Key: "k", Body: "old" });
    let requests = 0;
    const s3 = sendingThrough(async (command) => {
      requests += 1;
      if (requests === 2) {
        await meanwhile();
        if (name === "as it was") {
          for (const Key of await sidecars()) await local.s3.send(new DeleteObjectCommand({ Bucket, Key }));
        }
      }
      return local.s3.send(command as GetObjectCommand);
    });
    const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "k" }));
    expect(error).toEqual(coded(code));
    expect(error).toMatchObject({ retryable });
  });

  it("an overwritten object is noticed when the store ignores If-Match as well", async () => {
    await client().put({ Bucket, Key: "k", Body: "old" });
    let requests = 0;
    const s3 = sendingThrough(async (command) => {
      requests += 1;
      if (requests !== 3) return local.s3.send(command as GetObjectCommand);
      await client().put({ Bucket, Key: "k", Body: "new" });
      const { IfMatch: _passedOver, ...input } = (command as GetObjectCommand).input;
      return local.s3.send(new GetObjectCommand(input));
    });
    const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "k" }));
    expect(error).toEqual(coded("BODY_INTERRUPTED", { key: "k" }));
  });

  it("the sidecar is kept when a version is deleted that the object was copied from", async () => {
    const versioned = "sidecar-versions";
    await local.s3.send(new CreateBucketCommand({ Bucket: versioned }));
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await local.s3.send(new PutBucketVersioningCommand({ Bucket: versioned, VersioningConfiguration }));
    const at = { Bucket: versioned, Key: "k" };
    const { VersionId: first } = await client().put({ ...at, Body: "kept" });
    const CopySource = `${versioned}/k?versionId=${first}`;
    const { VersionId: second } = await local.s3.send(new CopyObjectCommand({ ...at, CopySource }));
    const { possiblyOrphanedSidecarKey } = await client().delete({ ...at, VersionId: first });
    expect(await (await client().get(at)).Body.transformToString()).toBe("kept");
    await client().delete({ ...at, VersionId: second });
    const { Contents = [] } = await local.s3.send(new ListObjectsV2Command({ Bucket: versioned }));
    expect(Contents.map(({ Key }) => Key)).toEqual([possiblyOrphanedSidecarKey]);
  });

  it("a sidecar that is too large for readers is refused before anything is stored", async () => {
    const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext: {} });
    const [recipient = raise()] = recipients;
    const keyId = "\u0001".repeat(1024);
    const wordy = { ...recipient, keyId, ciphertext: testBytes(8192) };
    const many = async () => ({ plaintext: Buffer.from(plaintext), recipients: Array(16).fill(wordy) });
    const writer = local.clientWith({ keyring: { ...keyring, generateDataKey: many } });
    const encryptionContext = { x: "\u0001".repeat(8000) };
    const put = { Bucket, Key: "k", Body: "x", encryptionContext, envelopeStorage: "sidecar" } as const;
    expect(await errorOf(() => writer.put(put))).toEqual(coded("ENVELOPE_TOO_LARGE", { limit: 262_144 }));
    expect(local.operations()).toEqual([]);
  });

  it("the sidecar is removed when the source fails", async () => {
    const Body = (async function* () {
      yield testBytes(2 * partBytes);
      throw new Error("broken");
    })();
    expect(await errorOf(() => client().put({ Bucket, Key: "k", Body }))).toEqual(coded("SOURCE_FAILED"));
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });

  it("a sidecar that is missing, of another object or malformed has a code", async () => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    const [Key = ""] = await sidecars();
    const { bytes } = await local.getRaw(Key);
    const get = () => errorOf(() => client().get({ Bucket, Key: "k" }));
    await local.s3.send(new DeleteObjectCommand({ Bucket, Key }));
    expect(await get()).toEqual(coded("ENVELOPE_MISSING", { sidecarKey: Key }));
    await local.putRaw(Key, Buffer.from(bytes.toString().replace("Cobblestone-256", "Cobblestone-128")));
    expect(await get()).toEqual(coded("ENVELOPE_VERSION_UNSUPPORTED"));
    await local.putRaw(Key, Buffer.alloc(0));
    expect(await get()).toEqual(coded("ENVELOPE_INVALID"));
    await local.putRaw(Key, Buffer.from("{}"));
    expect(await get()).toEqual(coded("ENVELOPE_INVALID"));
    await local.putRaw(Key, Buffer.alloc(1_000_000, " "));
    expect(await get()).toEqual(coded("ENVELOPE_INVALID"));
    local.aws.fault({ operation: "GetObject", skip: 1, status: 503, code: "SlowDown" });
    expect(await get()).toEqual(coded("S3_UNAVAILABLE"));
  });

  it("the sidecar is removed with its object", async () => {
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

  it("a client with envelopes in the metadata removes the sidecar only if the call says so", async () => {
    const object = { Bucket, Key: "k" };
    await local.client.put({ ...object, Body: "x", envelopeStorage: "sidecar" });
    local.operations();
    await local.client.delete({ ...object, envelopeStorage: "sidecar" });
    expect(local.operations()).toEqual(["HeadObject", "DeleteObject", "DeleteObject"]);
    expect((await local.contents()).keys).toEqual([]);
    await local.client.put({ ...object, Body: "x" });
    local.operations();
    await local.client.delete(object);
    await client().delete({ ...object, envelopeStorage: "metadata" });
    expect(local.operations()).toEqual(["DeleteObject", "DeleteObject"]);
    const wrong = { ...object, envelopeStorage: "sidecars" } as never;
    expect(await errorOf(() => local.client.delete(wrong))).toBeInstanceOf(RangeError);
    expect(local.operations()).toEqual([]);
  });

  it("the sidecar is kept when a delete marker only hides its object", async () => {
    const s3 = new S3Client({ region: "eu-central-1" });
    const mock = mockClient(s3);
    await client().put({ Bucket, Key: "k", Body: "x" });
    const { metadata } = await local.getRaw("k");
    await local.removeAll();
    mock.onAnyCommand().resolves({ Metadata: metadata, DeleteMarker: true } as never);
    const versioned = { Bucket, Key: "k", VersionId: "v1" };
    await new EnvelopeClient({ s3, keyring, envelopeStorage: "sidecar" }).delete(versioned);
    expect(mock.commandCalls(HeadObjectCommand)[0]?.args[0].input).toMatchObject(versioned);
    expect(mock.commandCalls(DeleteObjectCommand).map(({ args }) => args[0].input.Key)).toEqual(["k"]);
  });

  it.each([
    ["HeadObject is not allowed", { status: 403, code: "AccessDenied" }],
    ["the version is a delete marker", { status: 405, code: "MethodNotAllowed" }],
  ])("a sidecar that cannot be found does not prevent the deletion of its object: %s", async (_, fault) => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    local.aws.fault({ operation: "HeadObject", ...fault });
    await client().delete({ Bucket, Key: "k" });
    expect((await local.contents()).keys).toEqual(await sidecars());
  });

  it("an envelope of another release or an invalid one does not prevent the deletion of the object", async () => {
    await local.putRaw("k", testBytes(10), { "s3e-version": "2" });
    await client().delete({ Bucket, Key: "k" });
    expect((await local.contents()).keys).toEqual([]);
  });

  it("a sidecar that may be found later prevents the deletion of its object now", async () => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    local.aws.fault({ operation: "HeadObject", status: 503, code: "SlowDown" });
    expect(await errorOf(() => client().delete({ Bucket, Key: "k" }))).toEqual(coded("S3_UNAVAILABLE"));
    const held = local.aws.hold({ operation: "HeadObject" });
    const controller = new AbortController();
    const options = { abortSignal: controller.signal };
    const call = errorOf(() => client().delete({ Bucket, Key: "k" }, options));
    await held.arrived;
    controller.abort(new Error("enough"));
    expect(await call).toBe(controller.signal.reason);
    expect((await local.contents()).keys).toContain("k");
  });

  it.each([
    ["refused", { status: 403, code: "AccessDenied" }],
    ["too slow for the caller", {}],
  ])("the output of delete names the sidecar whose removal is %s", async (_, fault) => {
    await client().put({ Bucket, Key: "k", Body: "x" });
    const held = local.aws.hold({ operation: "DeleteObject", skip: 1, ...fault });
    const controller = new AbortController();
    const options = { abortSignal: controller.signal };
    const call = client().delete({ Bucket, Key: "k" }, options);
    await held.arrived;
    if ("status" in fault) held.release();
    else controller.abort(new Error("enough"));
    const { orphanedSidecarKey } = await call;
    expect(await sidecars()).toEqual([orphanedSidecarKey]);
    expect((await local.contents()).keys).not.toContain("k");
  });

  it("a key without room for the name of a sidecar is refused before a data key is requested", async () => {
    const generateDataKey = vi.fn();
    const writer = local.clientWith({ keyring: { ...keyring, generateDataKey }, envelopeStorage: "sidecar" });
    const error = await errorOf(() => writer.put({ Bucket, Key: "k".repeat(1000), Body: "x" }));
    expect(error).toBeInstanceOf(RangeError);
    expect(generateDataKey).not.toHaveBeenCalled();
    expect(local.operations()).toEqual([]);
  });
});
