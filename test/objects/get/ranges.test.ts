import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ciphertextLength, kmsKeyring } from "../../../src/index.js";
import type { GetInput } from "../../../src/objects/get/get-input.js";
import { collectUntilError, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { setBody, setHeader, startHttpProxy } from "../../support/http-proxy.js";
import { Bucket, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const sizes = [0, 1, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 100_000];
const plain = (size: number) => testBytes(size, size);

beforeAll(async () => {
  for (const size of sizes) await local.client.put({ Bucket, Key: `size-${size}`, Body: plain(size) });
  local.operations();
});

const get = (Key: string, input: Partial<GetInput> = {}) => local.client.get({ Bucket, Key, ...input });
const ranges = () => local.aws.requests.map(({ headers }) => headers.range);

/** The bytes that S3 would answer for a range of an object of this size; undefined for 416. */
function expected(size: number, range: string): [number, number] | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? [];
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return start < end ? [start, end] : undefined;
}

describe("get with every form of Range", () => {
  const bounds = [0, 1, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769];
  const forms = [
    ...bounds.flatMap((first) => [
      `bytes=${first}-`,
      `bytes=${first}-${first}`,
      `bytes=${first}-${first + 16_384}`,
    ]),
    ...bounds.map((suffix) => `bytes=-${suffix}`),
    "bytes=0-99999999999",
    "bytes=-99999999999",
  ];

  it.each(sizes)("returns the slice or 416 for an object of %i bytes, in one request", async (size) => {
    for (const Range of forms) {
      for (const verifyLength of [undefined, true] as const) {
        local.operations();
        const slice = expected(size, Range);
        const call = get(`size-${size}`, { Range, verifyLength });
        if (!slice) {
          const error = await errorOf(() => call);
          expect(error).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
        } else {
          const { ContentLength, ContentRange, Body } = await call;
          const [start, end] = slice;
          expect([ContentLength, ContentRange]).toEqual([end - start, `bytes ${start}-${end - 1}/${size}`]);
          expectBytes(await Body.transformToByteArray(), plain(size).subarray(start, end));
        }
        expect(local.operations().length).toBeLessThanOrEqual(verifyLength ? 2 : 1);
      }
    }
  });

  it("is not satisfiable just beyond the end, and the error has the length of the object", async () => {
    for (const size of sizes) {
      for (const Range of [`bytes=${size}-`, `bytes=${size}-${size}`, "bytes=-0"]) {
        expect(await errorOf(() => get(`size-${size}`, { Range }))).toEqual(
          coded("S3_RANGE_NOT_SATISFIABLE", { plaintextLength: size }),
        );
      }
    }
  });

  it("returns the same slice with verifyLength", async () => {
    const place = fc.oneof(fc.nat(101_000), fc.constantFrom(16_383, 16_384, 16_385, 32_767, 32_768, 98_304));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...sizes), place, place, async (size, a, b) => {
        const Range = `bytes=${Math.min(a, b)}-${Math.max(a, b)}`;
        const slice = expected(size, Range);
        const call = get(`size-${size}`, { Range, verifyLength: true });
        if (!slice) {
          expect(await errorOf(() => call)).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
          return;
        }
        expectBytes(await (await call).Body.transformToByteArray(), plain(size).subarray(...slice));
      }),
      { numRuns: 100 },
    );
  });
});

describe("get with a Range and other fields", () => {
  const Range = "bytes=16384-16400";
  const past = new Date("2020-01-01");
  const future = new Date(Date.now() + 86_400_000);

  it.each([
    ["IfMatch", { IfMatch: '"other"' }, "S3_PRECONDITION_FAILED"],
    ["IfNoneMatch", { IfNoneMatch: "*" }, "S3_NOT_MODIFIED"],
    ["IfModifiedSince", { IfModifiedSince: future }, "S3_NOT_MODIFIED"],
    ["IfUnmodifiedSince", { IfUnmodifiedSince: past }, "S3_PRECONDITION_FAILED"],
  ] as const)(
    "fails on %s first, with one request for the object and no call to the keyring",
    async (_, condition, code) => {
      for (const verifyLength of [undefined, true] as const) {
        const error = await errorOf(() => get("size-100000", { Range, verifyLength, ...condition }));
        expect(error).toEqual(coded(code));
        // Whether the store refuses the form of the condition.
        const asked = "IfMatch" in condition ? ["GetObject", "HeadObject"] : ["GetObject"];
        expect(local.operations()).toEqual(asked);
      }
      const beyond = { Range: "bytes=9999999-", ...condition };
      expect(await errorOf(() => get("size-100000", beyond))).toEqual(coded(code));
    },
  );

  it("succeeds when its conditions hold", async () => {
    const { ETag } = await local.client.head({ Bucket, Key: "size-100000" });
    const conditions = [
      { IfMatch: ETag },
      { IfNoneMatch: '"other"' },
      { IfModifiedSince: past },
      { IfUnmodifiedSince: future },
    ];
    for (const condition of conditions) {
      for (const verifyLength of [undefined, true] as const) {
        const { Body } = await get("size-100000", { Range, verifyLength, ...condition });
        expectBytes(await Body.transformToByteArray(), plain(100_000).subarray(16_384, 16_401));
      }
    }
  });

  it("sends the response overrides as they are given", async () => {
    const object = await get("size-100000", {
      Range,
      ResponseContentType: "a/b",
      ResponseCacheControl: "no-store",
      ResponseContentDisposition: "attachment",
      ResponseContentEncoding: "x",
      ResponseContentLanguage: "de",
    });
    object.Body.destroy();
    expect(object).toMatchObject({
      ContentType: "a/b",
      CacheControl: "no-store",
      ContentDisposition: "attachment",
      ContentEncoding: "x",
      ContentLanguage: "de",
      AcceptRanges: "bytes",
    });
  });

  it("refuses PartNumber before it sends anything", async () => {
    const error = await errorOf(() => get("size-1", { Range: "bytes=0-0", PartNumber: 1 } as never));
    expect(error).toBeInstanceOf(TypeError);
    expect(local.operations()).toEqual([]);
  });

  it("sends VersionId with every request", async () => {
    const inputs: unknown[] = [];
    const send = async (command: GetObjectCommand, options: object) => {
      inputs.push(command.input.VersionId);
      const { VersionId: _, ...input } = command.input;
      return local.s3.send(new (command.constructor as typeof GetObjectCommand)(input), options);
    };
    const client = local.clientWith({ s3: { config: local.s3.config, send } as unknown as S3Client });
    const input = { Bucket, Key: "size-100000", VersionId: "v7" };
    (await client.get({ ...input, Range, verifyLength: true })).Body.destroy();
    using object = await client.open(input);
    await object.read(0, 1);
    expect(inputs).toEqual(["v7", "v7", "v7", "v7"]);
  });
});

describe("get of a range that counts from the end", () => {
  const Key = "size-600000";
  beforeAll(async () => {
    await local.client.put({ Bucket, Key, Body: plain(600_000) });
    local.operations();
  });

  it.each([
    ["bytes=-1", ["bytes=-16417"]],
    ["bytes=-40000", ["bytes=-56448"]],
    // The largest that is held.
    ["bytes=-245504", ["bytes=-262144"]],
    ["bytes=-260000", ["bytes=-262144", "bytes=-276656"]],
    ["bytes=-600000", ["bytes=-262144", "bytes=-616992"]],
  ])("of an object of 600,000 bytes, %s, takes the requests %j", async (Range, requests) => {
    for (const parallel of [false, true]) {
      const { Body, ContentRange } = await get(Key, { Range, parallel });
      const [start = 0, end = 0] = expected(600_000, Range) ?? [];
      expect(ContentRange).toBe(`bytes ${start}-${end - 1}/600000`);
      expectBytes(await Body.transformToByteArray(), plain(600_000).subarray(start, end));
      expect(ranges()).toEqual(requests);
      local.operations();
    }
  });

  it("returns no byte of an object that was cut off, in any form", async () => {
    const { bytes, metadata } = await local.getRaw(Key);
    const small = await local.getRaw("size-100000");
    for (const [object, lengths] of [
      [{ bytes, metadata }, [32_768, 100_000, 589_823]],
      [small, [1, 16_384, 32_768, 99_999]],
    ] as const) {
      for (const length of lengths) {
        await local.putRaw("cut", object.bytes.subarray(0, ciphertextLength(length)), object.metadata);
        for (const Range of ["bytes=-1", "bytes=-20000", "bytes=-300000", "bytes=-99999999"]) {
          for (const parallel of [false, true]) {
            local.operations();
            expect(await errorOf(() => get("cut", { Range, parallel }))).toEqual(coded("DECRYPTION_FAILED"));
            expect(local.operations()).toEqual(["GetObject"]);
          }
        }
      }
    }
  });

  it("returns no byte of a cut-off object with a sidecar", async () => {
    const client = local.clientWith({ envelopeStorage: "sidecar" });
    await client.put({ Bucket, Key: "cut-sidecar", Body: plain(100_000) });
    const { bytes, metadata } = await local.getRaw("cut-sidecar");
    await local.putRaw("cut-sidecar", bytes.subarray(0, ciphertextLength(50_000)), metadata);
    expect(await errorOf(() => get("cut-sidecar", { Range: "bytes=-10" }))).toEqual(
      coded("DECRYPTION_FAILED"),
    );
    expect(local.operations()).toEqual(["GetObject", "GetObject"]);
  });

  it("reads unencrypted objects with as many requests as any other range", async () => {
    await local.putRaw("plain", plain(100));
    for (const Range of ["bytes=-7", "bytes=93-"]) {
      const { Body } = await get("plain", { Range, unencrypted: "allow" });
      expectBytes(await Body.transformToByteArray(), plain(100).subarray(93));
      expect(local.operations()).toEqual(["GetObject", "GetObject"]);
    }
    await local.putRaw("plain", plain(0));
    expect(await errorOf(() => get("plain", { Range: "bytes=-7", unencrypted: "allow" }))).toEqual(
      coded("S3_RANGE_NOT_SATISFIABLE"),
    );
  });
});

describe("an object of a size that no native object has", () => {
  it("takes one request, and none to KMS or for a sidecar, in every kind of get", async () => {
    for (const envelopeStorage of ["metadata", "sidecar"] as const) {
      const client = local.clientWith({ keyring: kmsKeyring({ kms: local.aws.kms, keyId: local.keyArn }) });
      await client.put({ Bucket, Key: "odd", Body: plain(20_000), envelopeStorage });
      const { bytes, metadata } = await local.getRaw("odd");
      for (const length of [1, 71, 56 + 16_400, 56 + 16_400 + 15]) {
        await local.putRaw("odd", bytes.subarray(0, length), metadata);
        for (const Range of [undefined, "bytes=0-", "bytes=0-9", "bytes=-9"]) {
          // Where the range of ciphertext lies behind the end, S3 answers that there is none.
          const isBehind = length <= 56 && Range?.startsWith("bytes=0") === true;
          for (const more of [{}, { parallel: true }, { verifyLength: true }]) {
            local.operations();
            const error = await errorOf(() => client.get({ Bucket, Key: "odd", Range, ...more }));
            const code =
              isBehind && !("verifyLength" in more) ? "S3_RANGE_NOT_SATISFIABLE" : "BODY_TRUNCATED";
            expect(error).toEqual(coded(code));
            expect(local.operations()).toEqual(["GetObject"]);
          }
        }
        expect(await errorOf(() => client.open({ Bucket, Key: "odd" }))).toEqual(coded("BODY_TRUNCATED"));
        const filePath = join(tmpdir(), "s3-envelope-never-written");
        expect(await errorOf(() => client.download({ Bucket, Key: "odd", filePath }))).toEqual(
          coded("BODY_TRUNCATED"),
        );
        expect(local.operations()).toEqual(["GetObject", "GetObject"]);
      }
    }
  });
});

describe("get with verifyLength", () => {
  const tail = { verifyLength: true } as const;

  it("reads the last chunk first, then the range of the same object", async () => {
    const { Body, ETag } = await get("size-100000", { ...tail, Range: "bytes=0-99" });
    expectBytes(await Body.transformToByteArray(), plain(100_000).subarray(0, 100));
    expect(local.aws.requests.map(({ headers }) => [headers.range, headers["if-match"]])).toEqual([
      ["bytes=-16400", undefined],
      ["bytes=56-16455", ETag],
    ]);
  });

  it.each([
    ["size-100000", "bytes=-300", ["bytes=-16716"]],
    ["size-100000", "bytes=-50000", ["bytes=-66464"]],
    ["size-100000", "bytes=99000-", ["bytes=-16400"]],
    ["size-100000", "bytes=99990-200000", ["bytes=-16400"]],
    ["size-1", "bytes=0-0", ["bytes=-16400"]],
    ["size-1", undefined, ["bytes=-16400"]],
    ["size-100000", "bytes=100000-", ["bytes=-16400"]],
    ["size-100000", "bytes=0-", ["bytes=-16400", "bytes=56-"]],
    ["size-100000", undefined, ["bytes=-16400", undefined]],
  ])("of %s, range %s, takes the requests %j", async (Key, Range, requests) => {
    const size = Number(Key.slice(5));
    const slice = Range === undefined ? [0, size] : expected(size, Range);
    const object = await get(Key, { ...tail, Range }).catch(() => undefined);
    expect(ranges()).toEqual(requests);
    expect(object === undefined).toBe(slice === undefined);
    if (!object || !slice) return;
    expect(object.ContentLength).toBe((slice[1] ?? 0) - (slice[0] ?? 0));
    if (Range === undefined) expect(object.ContentRange).toBe(undefined);
    expectBytes(await object.Body.transformToByteArray(), plain(size).subarray(...slice));
  });

  it.each([
    ["a range from the end", { Range: "bytes=-290000" }],
    ["all, once the end has been verified", tail],
    ["a range, once the end has been verified", { ...tail, Range: "bytes=1000-" }],
  ])(
    "returns nothing of %s from a store that then sends another size with the same ETag",
    async (_, input) => {
      const Key = "cut-later";
      await local.client.put({ Bucket, Key, Body: testBytes(300_000, 3) });
      const { bytes } = await local.getRaw(Key);
      const proxy = await startHttpProxy(local.aws.s3Config.endpoint);
      const s3 = new S3Client({ ...local.aws.s3Config, endpoint: proxy.endpoint, maxAttempts: 1 });
      let reads = 0;
      proxy.alter = (response, { headers: { range } }) => {
        reads += 1;
        if (reads === 1) return undefined;
        const cut = bytes.subarray(0, bytes.length - 10_000);
        const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(range ?? "bytes=0-") ?? [];
        const start = first ? Number(first) : Math.max(0, cut.length - Number(last));
        setBody(response, cut.subarray(start));
        if (range) setHeader(response, "content-range", `bytes ${start}-${cut.length - 1}/${cut.length}`);
        return undefined;
      };
      const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key, ...input }));
      expect(error).toEqual(coded("S3_REQUEST_FAILED"));
      expect(reads).toBe(2);
      s3.destroy();
      await proxy.close();
    },
  );

  it("refuses an object that was cut off before it returns any byte, for every range", async () => {
    const { bytes, metadata } = await local.getRaw("size-100000");
    for (const [length, code] of [
      [ciphertextLength(50_000), "DECRYPTION_FAILED"],
      [ciphertextLength(32_768), "DECRYPTION_FAILED"],
      [56 + 2 * 16_400, "BODY_TRUNCATED"],
      [10, "BODY_TRUNCATED"],
      [0, "BODY_TRUNCATED"],
    ] as const) {
      await local.putRaw("cut", bytes.subarray(0, length), metadata);
      for (const Range of ["bytes=0-9", "bytes=0-", undefined]) {
        expect(await errorOf(() => get("cut", { ...tail, Range }))).toEqual(coded(code));
        expect(local.operations()).toEqual(["GetObject"]);
      }
    }
    // Without it the first chunk proves itself and no more, and a whole body tells at its end.
    await local.putRaw("cut", bytes.subarray(0, ciphertextLength(50_000)), metadata);
    expectBytes(
      await (await get("cut", { Range: "bytes=0-9" })).Body.transformToByteArray(),
      plain(100_000).subarray(0, 10),
    );
    const { released, error } = await collectUntilError((await get("cut")).Body);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(released.length).toBeGreaterThan(0);
  });

  it("checks the header of a body that was received with the tail", async () => {
    const { bytes, metadata } = await local.getRaw("size-1");
    bytes[3] = (bytes[3] ?? 0) ^ 1;
    await local.putRaw("header", bytes, metadata);
    const { Body } = await get("header", tail);
    expect((await collectUntilError(Body)).error).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("takes as many requests with a sidecar as without", async () => {
    await local
      .clientWith({ envelopeStorage: "sidecar" })
      .put({ Bucket, Key: "sidecar", Body: plain(100_000) });
    local.operations();
    const { Body } = await get("sidecar", { ...tail, Range: "bytes=0-9" });
    expectBytes(await Body.transformToByteArray(), plain(100_000).subarray(0, 10));
    expect(local.operations()).toEqual(["GetObject", "GetObject", "GetObject"]);
  });

  it("fails with BODY_INTERRUPTED when the object is overwritten between its requests", async () => {
    await local.client.put({ Bucket, Key: "changing", Body: plain(100_000) });
    const send = async (command: GetObjectCommand, options: object) => {
      const output = await local.s3.send(command, options);
      if (command.input.IfMatch === undefined)
        await local.client.put({ Bucket, Key: "changing", Body: plain(32_768) });
      return output;
    };
    const client = local.clientWith({ s3: { config: local.s3.config, send } as unknown as S3Client });
    const input = { Bucket, Key: "changing", Range: "bytes=0-9", ...tail };
    expect(await errorOf(() => client.get(input))).toEqual(coded("BODY_INTERRUPTED", { key: "changing" }));
  });

  it("has no effect on an unencrypted object", async () => {
    await local.putRaw("plain", plain(100));
    await local.putRaw("plain-empty", plain(0));
    const read = async (Key: string, Range?: string) => {
      const object = await get(Key, { ...tail, unencrypted: "allow", Range });
      expect(object.encrypted).toBe(false);
      return Buffer.from(await object.Body.transformToByteArray());
    };
    expectBytes(await read("plain"), plain(100));
    expectBytes(await read("plain", "bytes=10-19"), plain(100).subarray(10, 20));
    expectBytes(await read("plain-empty"), plain(0));
    expect(await errorOf(() => get("plain", tail))).toEqual(coded("ENVELOPE_MISSING"));
  });

  it.each([
    ["tail", RangeError],
    ["", RangeError],
    [1, TypeError],
    [null, TypeError],
  ])("refuses %j", async (verifyLength, type) => {
    const error = await errorOf(() => get("size-1", { verifyLength } as never));
    expect(error.constructor).toBe(type);
    expect(error.message).toMatch(/^verifyLength: expected one of true, false/);
    expect(local.operations()).toEqual([]);
  });

  it.each([
    ["of another range", { ContentRange: "bytes 0-16399/100168" }],
    ["of a tail that ends early", { ContentRange: "bytes 83768-100166/100168" }],
    ["without a range", { ContentRange: undefined }],
  ])("refuses a response %s", async (_, change) => {
    const send = async (command: GetObjectCommand, options: object) => ({
      ...(await local.s3.send(command, options)),
      ...change,
    });
    const client = local.clientWith({ s3: { config: local.s3.config, send } as unknown as S3Client });
    const input = { Bucket, Key: "size-100000" };
    expect(await errorOf(() => client.get({ ...input, ...tail }))).toEqual(coded("S3_REQUEST_FAILED"));
    expect(await errorOf(() => client.open(input))).toEqual(coded("S3_REQUEST_FAILED"));
  });
});
