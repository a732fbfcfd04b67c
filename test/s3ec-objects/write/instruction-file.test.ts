import {
  CreateBucketCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, describe, expect, it } from "vitest";
import { EnvelopeError } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { formats, keysOf, optionsOf, removeAll, stored, writerWith } from "../../support/legacy-writer.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";
import { readS3ec } from "../../support/s3ec.js";

const local = useLocalAws();
const Key = "k";
const at = { Bucket, Key };
const file = "k.instruction";
const { key } = keysOf(local, "aes");
const writer = (options = {}) => writerWith(local, { instructionFile: true, ...options });
const large = testBytes(2 * partBytes, 4);

afterEach(async () => {
  local.aws.clearFaults();
  await removeAll(local);
});

/** Reads the current object at the key. */
const read = async () => (await readS3ec(await stored(local, Key), key)).toString();

describe("instruction files of LegacyWriter.put", () => {
  it("the instruction file is written before the object, with its mark and the object's access, encryption and tags", async () => {
    const s3 = new S3Client({ region: "eu-central-1" });
    const mock = mockClient(s3);
    mock.on(PutObjectCommand).resolves({ ETag: '"e"' });
    const missing = Object.assign(new Error("none"), {
      name: "NoSuchKey",
      $metadata: { httpStatusCode: 404 },
    });
    mock.onAnyCommand().rejects(missing);
    mock.on(PutObjectCommand).resolves({ ETag: '"e"' });
    const shared = {
      ACL: "bucket-owner-full-control",
      ServerSideEncryption: "aws:kms",
      SSEKMSKeyId: "key",
      Tagging: "a=b",
      RequestPayer: "requester",
      ExpectedBucketOwner: "111122223333",
    } as const;
    const own = {
      StorageClass: "GLACIER",
      ContentType: "text/html",
      IfNoneMatch: "*",
      Metadata: { mine: "x" },
    } as const;
    await writer({ s3 }).put({ ...at, Body: "x", ...shared, ...own });
    const [first, second] = mock.commandCalls(PutObjectCommand).map(({ args }) => args[0].input);
    expect(first).toEqual({
      Bucket,
      Key: file,
      ...shared,
      Body: expect.stringMatching(/^\{"x-amz-3":"[^ ]*","x-amz-w":"02"\}$/),
      ContentType: "application/json",
      Metadata: { "x-amz-crypto-instr-file": "" },
      // There was none.
      IfNoneMatch: "*",
    });
    expect(second).toMatchObject({ ...at, ...shared, StorageClass: "GLACIER", ContentType: "text/html" });
  });

  it("the instruction file is sent with an empty mark and its exact length", async () => {
    await writer().put({ ...at, Body: "x" });
    const put = local.aws.requests.find(
      ({ operation, path }) => operation === "PutObject" && path.endsWith(file),
    );
    expect(put?.headers["x-amz-meta-x-amz-crypto-instr-file"]).toBe("");
    const { bytes, metadata } = await local.getRaw(file);
    expect(put?.headers["content-length"]).toBe(String(bytes.length));
    expect(metadata).toEqual({ "x-amz-crypto-instr-file": "" });
  });

  it("looking for an earlier instruction file takes one request, and one more for its object", async () => {
    await writer().put({ ...at, Body: "x" });
    expect(local.operations()).toEqual(["GetObject", "PutObject", "PutObject"]);
    await writer().put({ ...at, Body: "y" });
    expect(local.operations()).toEqual(["GetObject", "HeadObject", "PutObject", "PutObject"]);
    expect(await read()).toBe("y");
  });

  it("without permission to read it, an instruction file is written but never replaced", async () => {
    const unreadable = () => local.aws.fault({ operation: "GetObject", status: 403, code: "AccessDenied" });
    unreadable();
    await writer().put({ ...at, Body: "x" });
    expect(await read()).toBe("x");
    unreadable();
    const refused = await errorOf(() => writer().put({ ...at, Body: "y" }));
    expect(refused).toEqual(coded("S3_PRECONDITION_FAILED", { key: file }));
    expect(refused.message).toContain("allow s3:GetObject for both");
    expect(await read()).toBe("x");
    // The same for an object that may not be read.
    local.aws.fault({ operation: "HeadObject", status: 403, code: "AccessDenied" });
    expect(await errorOf(() => writer().put({ ...at, Body: "y" }))).toEqual(
      coded("S3_PRECONDITION_FAILED", { key: file }),
    );
    expect(await read()).toBe("x");
    await removeAll(local);
    for (const skip of [0, 1]) {
      unreadable();
      local.aws.fault({ operation: "PutObject", skip, status: 403, code: "AccessDenied" });
      expect(await errorOf(() => writer().put({ ...at, Body: "x" }))).toEqual(coded("S3_ACCESS_DENIED"));
      expect((await local.contents()).keys).toEqual([]);
    }
    unreadable();
    local.aws.fault({ operation: "PutObject", reset: "after" });
    const doubtful = await errorOf(() => writer().put({ ...at, Body: "x" }));
    expect(doubtful).toEqual(coded("S3_UNAVAILABLE", { possiblyOrphanedInstructionFileKey: file }));
  });

  it("an instruction file is not replaced when a condition of the object's write does not hold", async () => {
    await writer().put({ ...at, Body: "x" });
    const { ETag } = await local.s3.send(new HeadObjectCommand(at));
    for (const condition of [{ IfNoneMatch: "*" }, { IfMatch: '"other"' }]) {
      local.operations();
      expect(await errorOf(() => writer().put({ ...at, Body: "y", ...condition }))).toEqual(
        coded("S3_PRECONDITION_FAILED", { operation: "PutObject", key: Key }),
      );
      expect(local.operations()).toEqual(["GetObject", "HeadObject"]);
    }
    await writer().put({ ...at, Body: "z", IfMatch: ETag });
    expect(await read()).toBe("z");
  });

  it("an object that cannot be an instruction file is not replaced by one", async () => {
    const Body = testBytes(65_537);
    await local.putRaw(file, Body);
    expect(await errorOf(() => writer().put({ ...at, Body: "x" }))).toEqual(
      coded("ENVELOPE_INVALID", { key: file }),
    );
    expectBytes((await local.getRaw(file)).bytes, Body);
    expect((await local.contents()).keys).toEqual([file]);
  });

  it.each([
    ["GetObject", 503, "S3_UNAVAILABLE"],
    ["HeadObject", 503, "S3_UNAVAILABLE"],
  ] as const)("is not replaced when %s does not tell what is there", async (operation, status, code) => {
    await writer().put({ ...at, Body: "x" });
    local.operations();
    local.aws.fault({ operation, status, code: "SlowDown" });
    expect(await errorOf(() => writer().put({ ...at, Body: "y" }))).toEqual(coded(code));
    expect(local.operations()).not.toContain("PutObject");
    expect(await read()).toBe("x");
  });
});

describe.each(formats)("a failed write of an object with an instruction file in %s", (format) => {
  const put = (Body: Uint8Array | string = "new", options = {}) =>
    writer({ ...optionsOf[format], ...options }).put({ ...at, Body });
  const denied = { status: 403, code: "AccessDenied" };

  it.each([
    ["the file is refused", "PutObject", 0, "new"],
    ["the object is refused", "PutObject", 1, "new"],
    ["the upload cannot begin", "CreateMultipartUpload", 0, large],
    ["a part is refused", "UploadPart", 1, large],
    ["the completion is refused", "CompleteMultipartUpload", 0, large],
  ] as const)("as %s, nothing is left, or what was there", async (_, operation, skip, Body) => {
    local.aws.fault({ operation, skip, ...denied });
    expect(await errorOf(() => put(Body))).toEqual(coded("S3_ACCESS_DENIED"));
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });

    await put("old");
    const before = await local.getRaw(file);
    local.aws.fault({ operation, skip, ...denied });
    expect(await errorOf(() => put(Body))).toEqual(coded("S3_ACCESS_DENIED"));
    expect(await read()).toBe("old");
    expect(await local.getRaw(file)).toEqual(before);
    expect((await local.contents()).uploads).toEqual([]);
  });

  it("the existing object stays readable when a condition of the write does not hold", async () => {
    await put("old");
    local.aws.fault({ operation: "PutObject", skip: 1, status: 412, code: "PreconditionFailed" });
    expect(await errorOf(() => put())).toEqual(coded("S3_PRECONDITION_FAILED"));
    expect(await read()).toBe("old");
  });

  it("the existing object stays readable when the source of the write fails", async () => {
    await put("old");
    const Body = (async function* () {
      yield testBytes(partBytes + 1);
      throw new Error("broken");
    })();
    expect(await errorOf(() => writer(optionsOf[format]).put({ ...at, Body }))).toEqual(
      coded("SOURCE_FAILED"),
    );
    expect(await read()).toBe("old");
  });

  it("the existing object stays readable when the write is aborted", async () => {
    await put("old");
    const controller = new AbortController();
    const reason = new Error("enough");
    const Body = (async function* () {
      yield testBytes(partBytes + 1);
      controller.abort(reason);
      await new Promise(() => undefined);
    })();
    const call = writer(optionsOf[format]).put({ ...at, Body }, { abortSignal: controller.signal });
    expect(await errorOf(() => call)).toBe(reason);
    expect(await read()).toBe("old");
    expect((await local.contents()).uploads).toEqual([]);
  });

  it.each([
    ["with 503", { status: 503, code: "SlowDown" }],
    ["without an answer", { reset: "before" }],
  ] as const)("%s, and the earlier object is still there, its file is put back", async (_, fault) => {
    await put("old");
    local.aws.fault({ operation: "PutObject", skip: 1, ...fault });
    const error = await errorOf(() => put());
    expect(error).toEqual(coded("S3_UNAVAILABLE", { possiblyOrphanedInstructionFileKey: file }));
    expect(error.message).toContain("was restored");
    expect(await read()).toBe("old");
  });

  it("the new instruction file stays when the object was written but the response was lost", async () => {
    await put("old");
    local.aws.fault({ operation: "PutObject", skip: 1, reset: "after" });
    if (format === "V3") await put();
    else {
      const error = await errorOf(() => put());
      expect(error).toEqual(coded("S3_UNAVAILABLE", { possiblyOrphanedInstructionFileKey: file }));
      expect(error.message).toContain("was kept");
    }
    expect(await read()).toBe("new");
  });

  it("the new instruction file stays when it is not known which object exists", async () => {
    await put("old");
    local.aws.fault({ operation: "HeadObject", skip: 1, times: 9, ...denied });
    local.aws.fault({ operation: "PutObject", skip: 1, reset: "after" });
    expect(await errorOf(() => put())).toEqual(
      coded("S3_UNAVAILABLE", { possiblyOrphanedInstructionFileKey: file }),
    );
    expect(await read()).toBe("new");
  });

  it("the error names the lost instruction file when it cannot be restored", async () => {
    await put("old");
    local.aws.fault({ operation: "PutObject", skip: 1, times: 2, ...denied });
    const error = await errorOf(() => put());
    expect(error).toEqual(
      coded("S3_ACCESS_DENIED", { operation: "PutObject", key: Key, lostInstructionFileKey: file }),
    );
    expect(error.message).toContain("could not be restored");
  });

  it("the error names the orphaned instruction file when it cannot be removed", async () => {
    local.aws.fault({ operation: "PutObject", skip: 1, ...denied });
    local.aws.fault({ operation: "DeleteObject", ...denied });
    expect(await errorOf(() => put())).toEqual(
      coded("S3_ACCESS_DENIED", { orphanedInstructionFileKey: file }),
    );
    expect((await local.contents()).keys).toEqual([file]);
  });

  it("an earlier instruction file without an object is restored when no object exists", async () => {
    await local.putRaw(file, Buffer.from("{}"), { "x-amz-crypto-instr-file": "", note: "1" });
    local.aws.fault({ operation: "PutObject", skip: 1, ...denied });
    await errorOf(() => put());
    expect(await local.getRaw(file)).toEqual({
      bytes: Buffer.from("{}"),
      metadata: { "x-amz-crypto-instr-file": "", note: "1" },
    });
  });
});

it("no version of an instruction file is lost in a bucket with versions", async () => {
  const versioned = "instruction-versions";
  await local.s3.send(new CreateBucketCommand({ Bucket: versioned }));
  const VersioningConfiguration = { Status: "Enabled" } as const;
  await local.s3.send(new PutBucketVersioningCommand({ Bucket: versioned, VersioningConfiguration }));
  await writer().put({ Bucket: versioned, Key, Body: "old" });
  const { VersionId } = await local.s3.send(new HeadObjectCommand({ Bucket: versioned, Key: file }));
  await writer().put({ Bucket: versioned, Key, Body: "new" });
  const old = await local.s3.send(new HeadObjectCommand({ Bucket: versioned, Key: file, VersionId }));
  expect(old.VersionId).toBe(VersionId);
});

it("an error of the caller is not changed when the instruction file cannot be restored", async () => {
  await writer().put({ ...at, Body: "old" });
  const controller = new AbortController();
  const reason = new EnvelopeError("S3_ACCESS_DENIED", "of another call", {
    details: { httpStatusCode: 403 },
  });
  const send = async (command: PutObjectCommand) => {
    const output = await local.s3.send(command);
    if (!(command instanceof PutObjectCommand) || command.input.Key !== Key) return output;
    controller.abort(reason);
    throw Object.assign(new Error("aborted"), { name: "AbortError" });
  };
  const s3 = { config: local.s3.config, send } as unknown as S3Client;
  const call = writer({ s3 }).put({ ...at, Body: "new" }, { abortSignal: controller.signal });
  expect(await errorOf(() => call)).toBe(reason);
  expect(await read()).toBe("new");
});

it.each(["there was one", "there was none"])(
  "an abort while the file is on its way waits for it (%s)",
  async (name) => {
    if (name === "there was one") await writer().put({ ...at, Body: "old" });
    const controller = new AbortController();
    const reason = new Error("enough");
    const send = (command: PutObjectCommand, options: object) => {
      const sent = local.s3.send(command, options);
      if (command instanceof PutObjectCommand && command.input.Key === file) controller.abort(reason);
      return sent;
    };
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    const held = local.aws.hold({ operation: "PutObject" });
    const call = errorOf(() =>
      writer({ s3 }).put({ ...at, Body: "new" }, { abortSignal: controller.signal }),
    );
    await held.arrived;
    held.release();
    expect(await call).toBe(reason);
    const seen = local.operations().filter((one) => one === "PutObject" || one === "DeleteObject");
    if (name === "there was one") {
      expect(seen.slice(-2)).toEqual(["PutObject", "PutObject"]);
      expect(await read()).toBe("old");
    } else {
      expect(seen).toEqual(["PutObject", "DeleteObject"]);
      expect((await local.contents()).keys).toEqual([]);
    }
  },
);
