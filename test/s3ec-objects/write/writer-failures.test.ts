import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it, vi } from "vitest";
import { putLegacy } from "../../../src/s3ec-objects/write/put.js";
import { writerConfigArgument } from "../../../src/s3ec-objects/write/writer-settings.js";
import { cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { formats, keysOf, optionsOf, removeAll, stored, writerWith } from "../../support/legacy-writer.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";
import { readS3ec } from "../../support/s3ec.js";
import { generated, stubS3 } from "../../support/stub-s3.js";
import { until } from "../../support/until.js";

const local = useLocalAws();
const Key = "k";
const at = { Bucket, Key };
const { keyring, key } = keysOf(local, "aes");
const large = testBytes(3 * partBytes, 4);
const never = () => new Promise<never>(() => undefined);
const mebibyte = 1024 * 1024;

afterEach(async () => {
  local.aws.clearFaults();
  await removeAll(local);
});

describe("failures of requests of LegacyWriter.put", () => {
  it.each([
    ["PutObject", 0, "small"],
    ["CreateMultipartUpload", 0, large],
    ["UploadPart", 0, large],
    ["UploadPart", 2, large],
    ["CompleteMultipartUpload", 0, large],
  ] as const)("%s, after %i of its kind", async (operation, skip, Body) => {
    local.aws.fault({ operation, skip, status: 403, code: "AccessDenied" });
    expect(await errorOf(() => writerWith(local).put({ ...at, Body }))).toEqual(
      coded("S3_ACCESS_DENIED", { operation, bucket: Bucket, key: Key }),
    );
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });

  it("a failure of GenerateDataKey rejects before any request to S3", async () => {
    local.aws.fault({ service: "kms", status: 400, code: "AccessDeniedException" });
    const writer = writerWith(local, { keyring: keysOf(local, "kms").keyring });
    expect(await errorOf(() => writer.put({ ...at, Body: "x" }))).toEqual(coded("KMS_ACCESS_DENIED"));
    expect(local.operations()).toEqual(["GenerateDataKey"]);
  });
});

describe("bodies of LegacyWriter.put", () => {
  it("a body with another length than stated is refused and leaves nothing behind", async () => {
    for (const [bytes, ContentLength] of [
      [10, 11],
      [11, 10],
      [3 * partBytes, 3 * partBytes + 1],
      [3 * partBytes + 1, 3 * partBytes],
    ] as const) {
      const Body = Readable.from(cut(testBytes(bytes), 65_536));
      expect(await errorOf(() => writerWith(local).put({ ...at, Body, ContentLength }))).toEqual(
        coded("SOURCE_LENGTH_MISMATCH", { expected: ContentLength }),
      );
    }
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });

  it.each([100_000, partBytes + 100_000])(
    "a body that fails or stalls after %i bytes leaves nothing behind",
    async (bytes) => {
      async function* body(then: () => Promise<never>) {
        yield* cut(large.subarray(0, bytes), 65_536);
        await then();
      }
      const failure = new Error("disk on fire");
      const failed = await errorOf(() =>
        writerWith(local).put({ ...at, Body: body(() => Promise.reject(failure)) }),
      );
      expect(failed).toEqual(coded("SOURCE_FAILED", { bytesRead: bytes }));
      expect(failed.cause).toBe(failure);
      const writer = writerWith(local, { idleTimeoutMs: 60 });
      expect(await errorOf(() => writer.put({ ...at, Body: body(never) }))).toEqual(
        coded("SOURCE_STALLED", { bytesRead: bytes }),
      );
      expect(await local.contents()).toEqual({ keys: [], uploads: [] });
    },
  );

  it("the body is closed when the keyring fails", async () => {
    const generateDataKey = () => Promise.reject(new Error("no key"));
    const cancel = vi.fn();
    const Body = new ReadableStream<Uint8Array>({ cancel });
    const writer = writerWith(local, { keyring: { ...keyring, generateDataKey } });
    expect((await errorOf(() => writer.put({ ...at, Body }))).message).toBe("no key");
    await until(() => expect(cancel).toHaveBeenCalled());
  });
});

describe("aborting LegacyWriter.put", () => {
  const reason = new Error("user went away");
  it("a signal that has already been aborted causes no request", async () => {
    const abortSignal = AbortSignal.abort(reason);
    expect(await errorOf(() => writerWith(local).put({ ...at, Body: "x" }, { abortSignal }))).toBe(reason);
    expect(local.operations()).toEqual([]);
  });

  it.each([0, 100_000, partBytes + 100_000])(
    "an abort after %i bytes leaves nothing behind",
    async (bytes) => {
      const controller = new AbortController();
      const Body = (async function* () {
        yield* cut(large.subarray(0, bytes), 65_536);
        controller.abort(reason);
        await never();
      })();
      const call = writerWith(local).put({ ...at, Body }, { abortSignal: controller.signal });
      expect(await errorOf(() => call)).toBe(reason);
      expect(await local.contents()).toEqual({ keys: [], uploads: [] });
    },
  );

  it("an abort ends the wait for a keyring that ignores the signal", async () => {
    const controller = new AbortController();
    const generateDataKey = () => {
      controller.abort(reason);
      return never();
    };
    const writer = writerWith(local, { keyring: { ...keyring, generateDataKey } });
    const options = { abortSignal: controller.signal };
    expect(await errorOf(() => writer.put({ ...at, Body: "x" }, options))).toBe(reason);
  });

  it("an error of the progress listener ends the write", async () => {
    const onProgress = () => {
      throw reason;
    };
    expect(await errorOf(() => writerWith(local).put({ ...at, Body: large }, { onProgress }))).toBe(reason);
    expect((await local.contents()).uploads).toEqual([]);
  });
});

describe.each(formats)("retries of LegacyWriter.put in %s", (format) => {
  /** A client that retries, and the bodies of its requests. */
  const recording = () => {
    const sent = new Map<string, string[]>();
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
    s3.middlewareStack.add(
      (next) => (args) => {
        const { body, query, method, path } = args.request as {
          body?: Buffer;
          query: Record<string, string>;
          method: string;
          path: string;
        };
        if (method === "PUT") {
          const name = `${path} ${query.partNumber ?? ""}`;
          const digest = createHash("sha256")
            .update(body ?? "")
            .digest("hex");
          sent.set(name, [...(sent.get(name) ?? []), digest]);
        }
        return next(args);
      },
      { step: "deserialize", priority: "low", name: "recordBody" },
    );
    return { s3, sent };
  };

  it.each([
    ["PutObject", "small", { status: 503, code: "SlowDown" }],
    ["PutObject", "small", { reset: "before" }],
    ["UploadPart", large, { status: 500, code: "InternalError" }],
    ["UploadPart", large, { reset: "after" }],
  ] as const)("of %s send the very same bytes", async (operation, body, fault) => {
    const { s3, sent } = recording();
    local.aws.fault({ operation, skip: operation === "UploadPart" ? 1 : 0, times: 2, ...fault });
    const Body = body === "small" ? body : Readable.from(cut(body, 100_000));
    await writerWith(local, { s3, ...optionsOf[format] }).put({ ...at, Body });
    s3.destroy();
    const bodies = [...sent.values()];
    expect(bodies.flat().length).toBe(bodies.length + 2);
    for (const digests of bodies) expect(new Set(digests).size).toBe(1);
    expectBytes(await readS3ec(await local.getRaw(Key), key), Buffer.from(body));
  });

  it("a second call uses another key, IV and message id", async () => {
    const seen: Record<string, string>[] = [];
    for (let times = 0; times < 2; times++) {
      await writerWith(local, optionsOf[format]).put({ ...at, Body: "same" });
      const { bytes, metadata } = await local.getRaw(Key);
      seen.push({ ...metadata, bytes: bytes.toString("hex") });
    }
    for (const name of ["x-amz-iv", "x-amz-i", "x-amz-d", "x-amz-3", "x-amz-key-v2", "bytes"]) {
      if (seen[0]?.[name] !== undefined) expect(seen[0][name]).not.toBe(seen[1]?.[name]);
    }
  });

  it("a retry after a lost response finds its own object, and no other writer's", async () => {
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
    const writer = writerWith(local, { s3, ...optionsOf[format] });
    local.aws.fault({ operation: "PutObject", reset: "after" });
    await writer.put({ ...at, Body: "mine", IfNoneMatch: "*" });
    expect(local.operations()).toEqual(["PutObject", "PutObject", "HeadObject"]);
    local.aws.fault({ operation: "PutObject", reset: "before" });
    expect(await errorOf(() => writer.put({ ...at, Body: "thei", IfNoneMatch: "*" }))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    expect((await readS3ec(await stored(local, Key), key)).toString()).toBe("mine");
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    await writer.put({ ...at, Body: large });
    s3.destroy();
    expectBytes(await readS3ec(await stored(local, Key), key), large);
  });
});

describe("the memory budget of LegacyWriter", () => {
  const settingsWith = (options = {}) =>
    writerConfigArgument({ s3: local.s3, keyring, partSizeBytes: partBytes, ...options });

  it("no memory stays leased after writes that succeed or fail", async () => {
    for (const Body of ["small", large, () => Readable.from(cut(large, 65_536))]) {
      const settings = settingsWith();
      const body = () => (typeof Body === "function" ? Body() : Body);
      await putLegacy(settings, { ...at, Body: body() }, {});
      for (const operation of ["PutObject", "UploadPart", "CompleteMultipartUpload"]) {
        local.aws.fault({ operation, status: 403, code: "AccessDenied" });
        await putLegacy(settings, { ...at, Body: body() }, {}).catch(() => undefined);
        local.aws.clearFaults();
      }
      expect([settings.budget.heldBytes, settings.budget.idleBytes, settings.budget.hasWaiting]).toEqual([
        0,
        0,
        false,
      ]);
    }
  });

  it("many concurrent writes keep to the memory budget and all complete", async () => {
    const s3 = stubS3();
    const settings = settingsWith({
      s3: s3.client,
      partSizeBytes: undefined,
      maxBufferedBytes: 32 * mebibyte,
    });
    let most = 0;
    const look = () => {
      most = Math.max(most, settings.budget.heldBytes);
    };
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        putLegacy(settings, { Bucket, Key: `${index}`, Body: generated(20 * mebibyte, look) }, {}),
      ),
    );
    expect(most).toBeLessThanOrEqual(32 * mebibyte);
    expect(s3.mostBytes).toBeLessThanOrEqual(32 * mebibyte);
    expect(settings.budget.heldBytes).toBe(0);
  });

  it("a write that waits for memory does not read its source", async () => {
    const settings = settingsWith({ maxBufferedBytes: 16 * mebibyte, idleTimeoutMs: 40 });
    const all = await settings.budget.acquire({}, 16 * mebibyte, new AbortController().signal);
    let read = 0;
    const Body = (async function* () {
      for (const piece of cut(large, 65_536)) {
        read += piece.length;
        yield piece;
      }
    })();
    const call = putLegacy(settings, { ...at, Body }, {});
    await until(() => expect(settings.budget.hasWaiting).toBe(true));
    expect(read).toBe(0);
    all.release();
    await call;
    expectBytes(await readS3ec(await local.getRaw(Key), key), large);
  });
});
