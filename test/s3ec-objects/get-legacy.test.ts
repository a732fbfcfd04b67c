import { beforeAll, describe, expect, it } from "vitest";
import { decryptLegacyObject, legacyAesKeyring } from "../../src/legacy.js";
import { collectUntilError, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import {
  allowAll,
  kek,
  type LegacyShape,
  localShapes,
  oldNetFile,
  shapes,
  writeLegacy,
} from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { keyringsOf, readerOf, store } from "./support.js";

const local = useLocalAws();
const sizes = [0, 1, 15, 16, 17, 100_000];
const plain = (size: number) => testBytes(size, size);
const kms = () => ({ client: local.aws.kms, keyId: local.keyArn });
const suites = {
  cbc: "ALG_AES_256_CBC_IV16_NO_KDF",
  gcm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
  "115": "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
} as const;

describe.each(["metadata", "instruction-file"] as const)(
  "an object with its envelope in the %s",
  (storage) => {
    it.each(shapes)("is read: $format, $content, $wrap", async (shape) => {
      const isKms = shape.wrap.startsWith("kms");
      const context: Record<string, string> = isKms ? { tenant: "\u{1f512} caf\u00e9" } : {};
      const client = readerOf(local, allowAll);
      for (const size of sizes) {
        await store(local, "k", await writeLegacy(plain(size), shape, { storage, context, kms: kms() }));
        local.operations();
        const output = await client.get({ Bucket, Key: "k", ...(isKms && { encryptionContext: context }) });
        expectBytes(await output.Body.transformToByteArray(), plain(size));
        const asked = storage === "metadata" ? ["GetObject"] : ["GetObject", "GetObject", "GetObject"];
        expect(local.operations().filter((operation) => operation !== "Decrypt")).toEqual(asked);
        expect(output.encrypted).toBe(true);
        expect(output.ContentLength).toBe(shape.content === "cbc" ? undefined : size);
        expect(output.encryptionContext).toEqual(isKms ? context : undefined);
        expect(output.Metadata).toEqual({});
        expect(output.legacy).toEqual({
          format: shape.format,
          contentAlgorithm: suites[shape.content],
          wrapAlgorithm: shape.wrap,
          storage,
          ...(storage === "instruction-file" && { instructionFileKey: "k.instruction" }),
          authenticated: shape.content === "cbc" ? "never" : "before-release",
        });
      }
    });
  },
);

describe("get of a legacy object", () => {
  it("supports data keys of 16 and 24 bytes where the suite does", async () => {
    const client = readerOf(local, allowAll);
    for (const dataKeyBytes of [16, 24] as const) {
      for (const content of ["cbc", "gcm"] as const) {
        await store(local, "k", await writeLegacy(plain(1000), localShapes[content], { dataKeyBytes }));
        const { Body } = await client.get({ Bucket, Key: "k" });
        expectBytes(await Body.transformToByteArray(), plain(1000));
      }
      await store(local, "k", await writeLegacy(plain(1000), localShapes["115"], { dataKeyBytes }));
      expect(await errorOf(() => client.get({ Bucket, Key: "k" }))).toEqual(coded("DECRYPTION_FAILED"));
    }
  });

  it("returns the user's metadata and headers without the fields of Amazon's client and without checksums", async () => {
    const { body, metadata } = await writeLegacy(plain(20), localShapes["115"]);
    await local.putRaw("k", body, { ...metadata, note: "mine" });
    const output = await readerOf(local).get({ Bucket, Key: "k", ChecksumMode: "ENABLED" });
    expect(output.Metadata).toEqual({ note: "mine" });
    expect(Object.keys(output).filter((name) => name.startsWith("Checksum"))).toEqual([]);
    expectBytes(await output.Body.transformToByteArray(), plain(20));
  });

  it("takes additional authenticated data from the reader", async () => {
    const aad = Buffer.from("php");
    await store(local, "k", await writeLegacy(plain(20), localShapes.gcm, { aad }));
    const { Body } = await readerOf(local, { ...allowAll, contentAad: aad }).get({ Bucket, Key: "k" });
    expectBytes(await Body.transformToByteArray(), plain(20));
    const without = await readerOf(local, allowAll).get({ Bucket, Key: "k" });
    expect(await errorOf(() => without.Body.transformToByteArray())).toEqual(coded("DECRYPTION_FAILED"));
  });
});

describe("native objects with legacy reading", () => {
  it("take one request, as without legacy reading", async () => {
    await local.client.put({ Bucket, Key: "native", Body: plain(50_000), Metadata: { note: "x" } });
    local.operations();
    const client = readerOf(local, allowAll);
    const { legacy, encryptionContext, Metadata, Body } = await client.get({ Bucket, Key: "native" });
    expect([legacy, encryptionContext, Metadata]).toEqual([undefined, {}, { note: "x" }]);
    expectBytes(await Body.transformToByteArray(), plain(50_000));
    const part = await client.get({ Bucket, Key: "native", Range: "bytes=-10", verifyLength: true });
    expectBytes(await part.Body.transformToByteArray(), plain(50_000).subarray(-10));
    expect(local.operations()).toEqual(["GetObject", "GetObject"]);
    const beyond = { Bucket, Key: "native", Range: "bytes=99999-" };
    expect(await errorOf(() => client.get(beyond))).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
  });
});

describe("the instruction file of a legacy object", () => {
  const shape = localShapes["115"];
  const gets = () =>
    local.aws.requests.map(({ path }) => decodeURIComponent(path).replace(`/${Bucket}/`, ""));

  it("is requested under the suffix of the client or of the call", async () => {
    const files = await writeLegacy(plain(30), shape, { storage: "instruction-file" });
    await store(local, "suffix", files, ".instruction-rsa");
    const client = readerOf(local);
    const input = { Bucket, Key: "suffix" };
    expect(await errorOf(() => client.get(input))).toEqual(
      coded("ENVELOPE_MISSING", { instructionFileKey: "suffix.instruction" }),
    );
    const byCall = await client.get({ ...input, instructionFileSuffix: ".instruction-rsa" });
    expectBytes(await byCall.Body.transformToByteArray(), plain(30));
    const set = readerOf(local, { instructionFileSuffix: ".instruction-rsa" });
    expectBytes(await (await set.get(input)).Body.transformToByteArray(), plain(30));
    expect((await set.head(input)).ContentLength).toBe(30);
    expect((await client.head({ ...input, instructionFileSuffix: ".instruction-rsa" })).encrypted).toBe(true);
  });

  it("may be one of the oldest .NET clients if there is no other", async () => {
    for (const wrap of ["AES", "RSA"] as const) {
      const v1 = { format: "V1", content: "cbc", wrap } as const;
      const files = await writeLegacy(plain(31), v1, { storage: "instruction-file" });
      const old = oldNetFile(files.instructionFile ?? "");
      await store(
        local,
        `net-${wrap}`,
        { ...files, metadata: {}, instructionFile: old },
        "INSTRUCTION_SUFFIX",
      );
      local.aws.clearRequests();
      const output = await readerOf(local, allowAll).get({ Bucket, Key: `net-${wrap}` });
      expectBytes(await output.Body.transformToByteArray(), plain(31));
      expect(output.legacy).toMatchObject({ format: "V1", wrapAlgorithm: wrap, storage: "instruction-file" });
      expect(gets()).toEqual(
        ["", ".instruction", "INSTRUCTION_SUFFIX", ""].map((suffix) => `net-${wrap}${suffix}`),
      );
    }
  });

  it("is not requested when the metadata has an envelope, or for native objects", async () => {
    await store(local, "both", { ...(await writeLegacy(plain(5), shape)), instructionFile: "{}" });
    local.aws.clearRequests();
    const { Body } = await readerOf(local).get({ Bucket, Key: "both" });
    expectBytes(await Body.transformToByteArray(), plain(5));
    expect(gets()).toEqual(["both"]);
  });

  it("is requested from the same bucket with RequestPayer and owner, without a version", async () => {
    const files = await writeLegacy(plain(5), shape, { storage: "instruction-file" });
    await store(local, "fields", files);
    local.aws.clearRequests();
    const owner = "111122223333";
    const input = { Bucket, Key: "fields", RequestPayer: "requester", ExpectedBucketOwner: owner } as const;
    const output = await readerOf(local).get({ ...input, VersionId: "null", IfNoneMatch: '"other"' });
    expectBytes(await output.Body.transformToByteArray(), plain(5));
    const file = local.aws.requests.find(({ path }) => path.includes(".instruction"));
    expect(file?.headers).toMatchObject({
      "x-amz-request-payer": "requester",
      "x-amz-expected-bucket-owner": owner,
    });
    expect(file?.headers["if-none-match"]).toBeUndefined();
    expect(local.aws.requests.map(({ query }) => "versionId" in query)).toEqual([true, false, true]);
  });

  it.each([
    ["is not there", undefined, "ENVELOPE_MISSING"],
    ["is no JSON", "x", "ENVELOPE_INVALID"],
    ["is of something else", '{"invalid":"json"}', "ENVELOPE_INVALID"],
    ["is too large", `{"x":"${"x".repeat(70_000)}"}`, "ENVELOPE_INVALID"],
  ] as const)("that %s is an error", async (_what, instructionFile, code) => {
    const { body, metadata } = await writeLegacy(plain(5), shape, { storage: "instruction-file" });
    await store(local, `bad-${code}`, { body, metadata, ...(instructionFile && { instructionFile }) });
    for (const unencrypted of ["refuse", "allow"] as const) {
      const call = () => readerOf(local, allowAll).get({ Bucket, Key: `bad-${code}`, unencrypted });
      expect(await errorOf(call)).toEqual(coded(code));
    }
  });

  it.each([403, 500] as const)(
    "that S3 answers %i for never makes plaintext of an object",
    async (status) => {
      await local.putRaw("unknown", plain(40));
      const code = status === 403 ? "S3_ACCESS_DENIED" : "S3_UNAVAILABLE";
      for (const skip of [1, 2]) {
        local.aws.fault({ service: "s3", operation: "GetObject", status, code: "AccessDenied", skip });
        const call = () => readerOf(local).get({ Bucket, Key: "unknown", unencrypted: "allow" });
        const key = skip === 1 ? "unknown.instruction" : "unknownINSTRUCTION_SUFFIX";
        const error = await errorOf(call);
        expect(error).toEqual(coded(code, { key }));
        expect(error.message.includes("s3:ListBucket")).toBe(status === 403);
        local.aws.clearFaults();
      }
      // Credentials that ran out are another matter.
      local.aws.fault({ service: "s3", operation: "GetObject", status: 400, code: "ExpiredToken", skip: 1 });
      const expired = await errorOf(() => readerOf(local).get({ Bucket, Key: "unknown" }));
      expect(expired).toEqual(coded("S3_ACCESS_DENIED"));
      expect(expired.message).not.toContain("s3:ListBucket");
      local.aws.clearFaults();
      local.aws.fault({ service: "s3", operation: "GetObject", status: 403, code: "AccessDenied" });
      expect(await errorOf(() => readerOf(local).head({ Bucket, Key: "unknown" }))).toEqual(
        coded("S3_ACCESS_DENIED"),
      );
    },
  );

  it("can be switched off", async () => {
    const files = await writeLegacy(plain(5), shape, { storage: "instruction-file" });
    await store(local, "off", files);
    await local.putRaw("plain", plain(9));
    const client = readerOf(local, { disableInstructionFile: true });
    expect(await errorOf(() => client.get({ Bucket, Key: "off" }))).toEqual(
      coded("LEGACY_REFUSED", { option: "disableInstructionFile" }),
    );
    local.operations();
    const stated = { Bucket, Key: "plain", instructionFileSuffix: ".instruction" };
    expect(await errorOf(() => client.get(stated))).toEqual(
      coded("LEGACY_REFUSED", { option: "disableInstructionFile" }),
    );
    expect(local.operations()).toEqual(["GetObject"]);
    expect(await errorOf(() => client.get({ Bucket, Key: "plain" }))).toEqual(coded("ENVELOPE_MISSING"));
    expect(local.operations()).toEqual(["GetObject"]);
    const { Body, encrypted } = await client.get({ Bucket, Key: "plain", unencrypted: "allow" });
    expect(encrypted).toBe(false);
    expectBytes(await Body.transformToByteArray(), plain(9));
  });

  it.each([
    ["metadata", "bytes=0-1"],
    ["instruction-file", undefined],
    ["instruction-file", "bytes=0-1"],
    ["nowhere", undefined],
  ] as const)(
    "in the %s, range %s: an object that is overwritten meanwhile is an error",
    async (storage, Range) => {
      const Key = `gone-${storage}`;
      const files = await writeLegacy(plain(50), shape, storage === "nowhere" ? {} : { storage });
      await store(local, Key, storage === "nowhere" ? { ...files, metadata: {} } : files);
      const other = await writeLegacy(plain(51), shape, { seed: 1 });
      let isFirst = true;
      const s3 = {
        async send(...args: Parameters<typeof local.s3.send>) {
          const answer = await local.s3.send(...args);
          if (isFirst) await local.putRaw(Key, other.body, other.metadata);
          isFirst = false;
          return answer;
        },
      } as unknown as typeof local.s3;
      const client = readerOf(local, allowAll, { s3 });
      const error = await errorOf(() => client.get({ Bucket, Key, Range }));
      expect(error).toEqual(coded("BODY_INTERRUPTED", { overwritten: true }));
    },
  );
});

describe("aborting a get of a legacy object", () => {
  it("ends the request for an instruction file, and the call to KMS", async () => {
    const reason = new Error("enough");
    const abort = (after: string) => {
      const controller = new AbortController();
      const call = readerOf(local).get({ Bucket, Key: "slow" }, { abortSignal: controller.signal });
      const asked = () => local.aws.requests.filter(({ operation }) => operation === after).length;
      const times = after === "Decrypt" ? 1 : 2;
      return expect
        .poll(asked)
        .toBe(times)
        .then(() => controller.abort(reason))
        .then(() => errorOf(() => call));
    };
    const shape = { format: "V3", content: "115", wrap: "kms+context" } as const;
    const files = await writeLegacy(plain(50), shape, { storage: "instruction-file", kms: kms() });
    await store(local, "slow", files);
    local.aws.clearRequests();
    local.aws.fault({ service: "s3", operation: "GetObject", skip: 1, stallBodyBytes: 3 });
    expect(await abort("GetObject")).toBe(reason);
    local.aws.clearRequests();
    local.aws.hold({ service: "kms" });
    expect(await abort("Decrypt")).toBe(reason);
    local.aws.fault({ service: "s3", operation: "GetObject", skip: 1, stallBodyBytes: 3 });
    const client = readerOf(local, {}, { idleTimeoutMs: 50 });
    const error = await errorOf(() => client.get({ Bucket, Key: "slow" }));
    expect(error).toEqual(coded("BODY_STALLED", { key: "slow.instruction" }));
  });
});

describe("an unencrypted object with legacy reading", () => {
  beforeAll(async () => {
    await local.putRaw("plain", plain(20_000), { note: "x" });
    await local.putRaw("nothing", Buffer.alloc(0));
  });

  it("is refused, and the error names the missing instruction file", async () => {
    for (const Key of ["plain", "nothing"]) {
      const error = await errorOf(() => readerOf(local).get({ Bucket, Key }));
      expect(error).toEqual(coded("ENVELOPE_MISSING", { instructionFileKey: `${Key}.instruction` }));
      expect(error.message).toContain(`"${Key}.instruction"`);
      expect(error.message).toContain('unencrypted: "allow"');
    }
  });

  it('is read whole and in ranges with unencrypted: "allow"', async () => {
    const client = readerOf(local);
    const allow = { Bucket, Key: "plain", unencrypted: "allow" } as const;
    const whole = await client.get(allow);
    expect([whole.encrypted, whole.legacy, whole.Metadata]).toEqual([false, undefined, { note: "x" }]);
    expectBytes(await whole.Body.transformToByteArray(), plain(20_000));
    for (const [Range, from, to] of [
      ["bytes=5-9", 5, 10],
      ["bytes=19990-", 19_990, 20_000],
      ["bytes=-7", 19_993, 20_000],
    ] as const) {
      const { Body, ContentRange } = await client.get({ ...allow, Range });
      expectBytes(await Body.transformToByteArray(), plain(20_000).subarray(from, to));
      expect(ContentRange).toBe(`bytes ${from}-${to - 1}/20000`);
    }
    for (const Range of ["bytes=20000-", "bytes=-0"]) {
      const error = await errorOf(() => client.get({ ...allow, Range }));
      expect(error).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
    }
    for (const verifyLength of [true, undefined]) {
      const { Body } = await client.get({ ...allow, Key: "nothing", verifyLength });
      expect((await Body.transformToByteArray()).length).toBe(0);
    }
  });

  it("is not assumed for an object with a mark of Amazon's client that has lost its instruction file", async () => {
    for (const mark of ["x-amz-unencrypted-content-length", "x-amz-unencrypted-content-md5"]) {
      await local.putRaw("lost", plain(20), { [mark]: "4" });
      for (const unencrypted of ["refuse", "allow"] as const) {
        const stated = { Bucket, Key: "lost", unencrypted };
        const lost = coded("ENVELOPE_MISSING", { instructionFileKey: "lost.instruction" });
        expect(await errorOf(() => readerOf(local).get(stated))).toEqual(lost);
        expect(await errorOf(() => readerOf(local).get({ ...stated, Range: "bytes=0-1" }))).toEqual(lost);
        const off = readerOf(local, { disableInstructionFile: true });
        expect(await errorOf(() => off.get(stated))).toEqual(
          coded("LEGACY_REFUSED", { option: "disableInstructionFile" }),
        );
      }
      expect(await errorOf(() => readerOf(local).head({ Bucket, Key: "lost" }))).toEqual(
        coded("ENVELOPE_MISSING"),
      );
    }
  });

  it("has no instruction file when its key is too long", async () => {
    const Key = "k".repeat(1020);
    await local.putRaw(Key, plain(3));
    const { Body } = await readerOf(local).get({ Bucket, Key, unencrypted: "allow" });
    expectBytes(await Body.transformToByteArray(), plain(3));
  });
});

describe("legacy reading without the required option", () => {
  it("is refused before any key is used, and the error names the option", async () => {
    const refused = async (shape: LegacyShape, option: string, options = {}, input = {}) => {
      await store(local, "k", await writeLegacy(plain(50), shape, { kms: kms() }));
      local.operations();
      const call = () => readerOf(local, options).get({ Bucket, Key: "k", ...input });
      expect(await errorOf(call)).toEqual(coded("LEGACY_REFUSED", { option }));
      expect(local.operations()).toEqual(["GetObject"]);
    };
    const { cbc, gcm } = localShapes;
    await refused(cbc, "enableLegacyUnauthenticatedModes");
    await refused(gcm, "commitmentPolicy");
    await refused({ ...gcm, wrap: "kms" }, "enableLegacyWrappingAlgorithms", {
      commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
    });
    await refused(localShapes["115"], "enableLegacyUnauthenticatedModes", {}, { Range: "bytes=0-5" });
    const tail = { verifyLength: true } as const;
    await refused(cbc, "verifyLength", allowAll, tail);
    await refused(localShapes["115"], "verifyLength", { releaseUnverifiedPlaintext: true }, tail);
    await refused(localShapes["115"], "verifyLength", allowAll, { ...tail, Range: "bytes=0-5" });
  });

  it("refuses all legacy objects when it is off, and names get in other calls", async () => {
    await store(local, "k", await writeLegacy(plain(50), localShapes["115"]));
    const input = { Bucket, Key: "k" };
    for (const act of ["get", "open", "head"] as const) {
      const error = await errorOf(() => local.client[act](input));
      expect(error).toEqual(coded("LEGACY_FORMAT"));
      expect(error.message).toContain("switched on");
    }
    const on = readerOf(local);
    for (const act of [() => on.open(input), () => on.download({ ...input, filePath: "/tmp/never-made" })]) {
      const error = await errorOf(act);
      expect(error).toEqual(coded("LEGACY_FORMAT"));
      expect(error.message).toContain("only `get` reads");
    }
    const suffix = { ...input, instructionFileSuffix: ".x" };
    for (const act of ["get", "head"] as const) {
      expect(await errorOf(() => local.client[act](suffix))).toBeInstanceOf(TypeError);
      expect(await errorOf(() => on[act]({ ...input, instructionFileSuffix: "" }))).toBeInstanceOf(
        RangeError,
      );
    }
  });

  it("refuses another context than KMS has bound, or any context where none is bound", async () => {
    const client = readerOf(local, allowAll);
    const get = (encryptionContext?: Record<string, string> | "any") => () =>
      client.get({ Bucket, Key: "k", ...(encryptionContext && { encryptionContext }) });
    const context = { tenant: "1" };
    await store(local, "k", await writeLegacy(plain(5), shapes[11] as LegacyShape, { context, kms: kms() }));
    local.operations();
    const others: Record<string, string>[] = [{}, { tenant: "2" }];
    for (const expected of [undefined, ...others]) {
      expect(await errorOf(get(expected))).toEqual(coded("CONTEXT_MISMATCH"));
    }
    expect(local.operations()).not.toContain("Decrypt");
    (await get("any")()).Body.destroy();
    await store(local, "k", await writeLegacy(plain(5), localShapes["115"]));
    expect(await errorOf(get(context))).toEqual(coded("CONTEXT_MISMATCH"));
    (await get({})()).Body.destroy();
    const old = { format: "V2", content: "gcm", wrap: "kms" } as const;
    await store(local, "k", await writeLegacy(plain(5), old, { context, kms: kms() }));
    for (const expected of [undefined, "any", context] as const) (await get(expected)()).Body.destroy();
    for (const expected of others) {
      expect(await errorOf(get(expected))).toEqual(coded("CONTEXT_MISMATCH"));
    }
  });

  it("refuses a key of another type, or another key", async () => {
    await store(local, "k", await writeLegacy(plain(5), { ...localShapes["115"], wrap: "RSA-OAEP-SHA1" }));
    const onlyAes = readerOf(local, { keyring: legacyAesKeyring({ wrappingKey: kek }) });
    expect(await errorOf(() => onlyAes.get({ Bucket, Key: "k" }))).toEqual(coded("KEY_NOT_FOR_OBJECT"));
    await store(local, "k", await writeLegacy(plain(5), localShapes["115"]));
    const other = readerOf(local, { keyring: legacyAesKeyring({ wrappingKey: testBytes(32, 1) }) });
    expect(await errorOf(() => other.get({ Bucket, Key: "k" }))).toEqual(coded("DECRYPTION_FAILED"));
  });
});

describe("the body of a legacy object", () => {
  it.each([
    ["gcm", 0],
    ["gcm", 15],
    ["115", 15],
    ["cbc", 0],
    ["cbc", 15],
    ["cbc", 33],
  ] as const)("of %s with %i bytes, which none has, is BODY_TRUNCATED", async (content, length) => {
    const { body, metadata } = await writeLegacy(plain(50), localShapes[content]);
    await local.putRaw("cut", body.subarray(0, length), metadata);
    const client = readerOf(local, allowAll);
    for (const input of [{}, { Range: "bytes=0-3" }, { Range: "bytes=30000-" }, { Range: "bytes=-3" }]) {
      const error = await errorOf(() => client.get({ Bucket, Key: "cut", ...input }));
      expect(error).toEqual(coded("BODY_TRUNCATED", { bytes: length }));
    }
    expect(await errorOf(() => client.head({ Bucket, Key: "cut" }))).toEqual(coded("BODY_TRUNCATED"));
  });

  it.each([
    { format: "V2", content: "cbc", wrap: "kms" },
    { format: "V2", content: "gcm", wrap: "kms+context" },
    { format: "V3", content: "115", wrap: "kms+context" },
  ] as const)("of $content of a size that is refused costs no request of KMS", async (shape) => {
    const { body, metadata } = await writeLegacy(plain(50), shape, { kms: kms() });
    await local.putRaw("cut", body.subarray(0, 15), metadata);
    for (const input of [{}, { Range: "bytes=0-3" }, { Range: "bytes=-3" }]) {
      local.operations();
      const error = await errorOf(() => readerOf(local, allowAll).get({ Bucket, Key: "cut", ...input }));
      expect(error).toEqual(coded("BODY_TRUNCATED", { bytes: 15 }));
      expect(local.operations()).not.toContain("Decrypt");
    }
    const offline = { Body: body.subarray(0, 15), Metadata: metadata };
    const options = { keyring: keyringsOf(local), ...allowAll };
    expect(await errorOf(() => decryptLegacyObject(offline, options))).toEqual(coded("BODY_TRUNCATED"));
    await local.putRaw("large", body, metadata);
    const limited = readerOf(local, { ...allowAll, maxBufferedObjectBytes: 16 });
    if (shape.content !== "cbc") {
      expect(await errorOf(() => limited.get({ Bucket, Key: "large" }))).toEqual(coded("LEGACY_TOO_LARGE"));
    }
    expect(local.operations()).not.toContain("Decrypt");
    // What a policy forbids is told first: it is what the caller can mend.
    const strict = readerOf(local, shape.content === "115" ? { maxBufferedObjectBytes: 16 } : {});
    expect(await errorOf(() => strict.get({ Bucket, Key: "cut", Range: "bytes=0-3" }))).toEqual(
      coded("LEGACY_REFUSED"),
    );
  });

  it.each(["gcm", "115"] as const)("of %s returns nothing if any byte was changed", async (content) => {
    const { body, metadata } = await writeLegacy(plain(300_000), localShapes[content]);
    for (const at of [0, 150_000, body.length - 1]) {
      const changed = Buffer.from(body);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await local.putRaw("changed", changed, metadata);
      const { Body } = await readerOf(local, allowAll).get({ Bucket, Key: "changed" });
      const { released, error } = await collectUntilError(Body);
      expect([released.length, error]).toEqual([0, coded("DECRYPTION_FAILED")]);
    }
    await local.putRaw("changed", body.subarray(0, -1), metadata);
    const { Body } = await readerOf(local, allowAll).get({ Bucket, Key: "changed" });
    expect(await collectUntilError(Body)).toEqual({
      released: Buffer.alloc(0),
      error: coded("DECRYPTION_FAILED"),
    });
  });

  it("of AES/CBC fails with one error for a wrong key, a changed end and a missing end", async () => {
    const { body, metadata } = await writeLegacy(plain(1000), localShapes.cbc);
    const changed = Buffer.from(body);
    changed.fill(1, body.length - 17);
    const messages = new Set<string>();
    for (const bytes of [changed, body.subarray(0, -16)]) {
      await local.putRaw("cbc", bytes, metadata);
      const { Body } = await readerOf(local, allowAll).get({ Bucket, Key: "cbc" });
      const { error } = await collectUntilError(Body);
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      messages.add((error as Error).message);
    }
    expect(messages.size).toBe(1);
  });

  it("with delayed authentication is returned before its error", async () => {
    const { body, metadata } = await writeLegacy(plain(300_000), localShapes["115"]);
    await local.putRaw("k", body, metadata);
    const client = readerOf(local, { releaseUnverifiedPlaintext: true });
    const { Body, legacy } = await client.get({ Bucket, Key: "k" });
    expect(legacy?.authenticated).toBe("at-end");
    expectBytes(await Body.transformToByteArray(), plain(300_000));
    body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
    await local.putRaw("k", body, metadata);
    const changed = await client.get({ Bucket, Key: "k" });
    const { released, error } = await collectUntilError(changed.Body);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expectBytes(released, plain(300_000));
  });
});

describe("head of a legacy object", () => {
  it.each(shapes)("describes $format, $content, $wrap", async (shape) => {
    for (const storage of ["metadata", "instruction-file"] as const) {
      await store(local, "h", await writeLegacy(plain(100), shape, { storage, kms: kms() }));
      local.operations();
      const { encrypted, ContentLength, legacy, Metadata } = await readerOf(local).head({ Bucket, Key: "h" });
      expect([encrypted, ContentLength, Metadata]).toEqual([
        true,
        shape.content === "cbc" ? undefined : 100,
        {},
      ]);
      expect(legacy).toEqual({
        format: shape.format,
        contentAlgorithm: suites[shape.content],
        ...(shape.format !== "V1" && { wrapAlgorithm: shape.wrap }),
        storage,
        ...(storage === "instruction-file" && { instructionFileKey: "h.instruction" }),
      });
      expect(local.operations()).toEqual(
        storage === "metadata" ? ["HeadObject"] : ["HeadObject", "GetObject"],
      );
    }
  });

  it("describes unencrypted and native objects", async () => {
    await local.putRaw("plain", plain(10));
    const client = readerOf(local);
    expect(await client.head({ Bucket, Key: "plain" })).toMatchObject({
      encrypted: false,
      ContentLength: 10,
    });
    await local.client.put({ Bucket, Key: "native", Body: "x" });
    expect(await client.head({ Bucket, Key: "native" })).toMatchObject({ encrypted: true, ContentLength: 1 });
  });
});
