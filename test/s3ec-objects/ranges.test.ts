import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EnvelopeClient } from "../../src/index.js";
import type { GetInput } from "../../src/objects/get/get-input.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { allowAll, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { readerOf, store, stubObject } from "./support.js";

const local = useLocalAws();
const contents = ["cbc", "gcm", "115"] as const;
const plain = (size: number) => testBytes(size, size);

async function storeAll(sizes: readonly number[]): Promise<void> {
  for (const content of contents) {
    for (const size of sizes) {
      await store(local, `${content}-${size}`, await writeLegacy(plain(size), localShapes[content]));
    }
  }
}

/** The bytes that S3 would answer for a range of an object of this size; undefined for 416. */
function expected(size: number, range: string): [number, number] | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? [];
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return start < end ? [start, end] : undefined;
}

async function check(
  content: (typeof contents)[number],
  size: number,
  Range: string,
  input: Partial<GetInput> = {},
  client = readerOf(local, allowAll),
): Promise<void> {
  const call = () => client.get({ Bucket, Key: `${content}-${size}`, Range, ...input });
  const slice = expected(size, Range);
  if (!slice) {
    expect(await errorOf(call), Range).toEqual(coded("S3_RANGE_NOT_SATISFIABLE", { plaintextLength: size }));
    return;
  }
  const { Body, ContentLength, ContentRange, legacy } = await call();
  const [start, end] = slice;
  expectBytes(await Body.transformToByteArray(), plain(size).subarray(start, end));
  expect(ContentLength).toBe(end - start);
  const total = ContentRange?.split("/")[1];
  expect(ContentRange).toBe(`bytes ${start}-${end - 1}/${total}`);
  // The length of AES/CBC is told where it had to be found out.
  if (content !== "cbc" || total !== "*") expect(total).toBe(String(size));
  expect(legacy?.authenticated).toBe("never");
}

/** A reader of one object, without a connection. */
async function stubbed(content: (typeof contents)[number], size: number): Promise<EnvelopeClient> {
  const s3 = stubObject(await writeLegacy(plain(size), localShapes[content]));
  return readerOf(local, { ...allowAll, disableInstructionFile: true }, { s3 });
}

describe.each(contents)("a range of a legacy object of %s", (content) => {
  const sizes = [0, 1, 15, 16, 17, 32, 33];
  const bounds = [0, 1, 15, 16, 17, 31, 32, 99];

  it("matches the range of S3, in plaintext, at every block", async () => {
    for (const size of sizes) {
      const client = await stubbed(content, size);
      for (const first of bounds) {
        for (const Range of [`bytes=${first}-`, `bytes=-${first}`, "bytes=0-99999999999999"]) {
          await check(content, size, Range, {}, client);
        }
        for (const last of bounds.filter((bound) => bound >= first)) {
          await check(content, size, `bytes=${first}-${last}`, {}, client);
        }
      }
    }
  });

  it("is a slice, also where the native format would request more bytes than the object has", async () => {
    const large = [16_383, 16_400, 50_000];
    const clients = new Map(
      await Promise.all(large.map(async (size) => [size, await stubbed(content, size)] as const)),
    );
    const place = fc.oneof(fc.nat(51_000), fc.constantFrom(16_367, 16_384, 16_399, 16_400, 49_983, 49_999));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...large),
        place,
        place,
        fc.constantFrom("from-to", "from", "suffix"),
        async (size, a, b, form) => {
          const [first, last] = [Math.min(a, b), Math.max(a, b)];
          const Range = {
            "from-to": `bytes=${first}-${last}`,
            from: `bytes=${first}-`,
            suffix: `bytes=-${first}`,
          }[form];
          await check(content, size, Range as string, {}, clients.get(size));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("requests the blocks that it needs, and the padding only if the range may reach it", async () => {
    await storeAll([1000]);
    const asked = async (Range: string) => {
      local.aws.clearRequests();
      await check(content, 1000, Range);
      return local.aws.requests.slice(1).map(({ headers }) => headers.range);
    };
    const isCbc = content === "cbc";
    const padding = isCbc ? ["bytes=976-1007"] : [];
    expect(await asked("bytes=0-15")).toEqual(["bytes=0-15"]);
    expect(await asked("bytes=40-50")).toEqual([isCbc ? "bytes=16-63" : "bytes=32-50"]);
    expect(await asked("bytes=40-991")).toEqual([isCbc ? "bytes=16-991" : "bytes=32-991"]);
    expect(await asked("bytes=40-992")).toEqual([...padding, isCbc ? "bytes=16-1007" : "bytes=32-992"]);
    expect(await asked("bytes=-5")).toEqual([...padding, isCbc ? "bytes=976-1007" : "bytes=992-999"]);
    expect(await asked("bytes=990-")).toEqual([...padding, isCbc ? "bytes=960-1007" : "bytes=976-999"]);
  });

  it("is the same with the envelope in an instruction file", async () => {
    const files = await writeLegacy(plain(777), localShapes[content], { storage: "instruction-file" });
    await store(local, `${content}-777`, files);
    for (const Range of ["bytes=0-0", "bytes=17-700", "bytes=-20", "bytes=760-", "bytes=777-"]) {
      await check(content, 777, Range);
      await check(content, 777, Range, { unencrypted: "allow" });
    }
  });

  it("requires enableLegacyUnauthenticatedModes", async () => {
    await storeAll([100]);
    const client = readerOf(local, { ...allowAll, enableLegacyUnauthenticatedModes: false });
    local.operations();
    const call = () => client.get({ Bucket, Key: `${content}-100`, Range: "bytes=0-9" });
    expect(await errorOf(call)).toEqual(
      coded("LEGACY_REFUSED", { option: "enableLegacyUnauthenticatedModes" }),
    );
    expect(local.operations()).toEqual(["GetObject"]);
  });

  it("fails when the response has another range, or its body breaks off", async () => {
    await storeAll([50_000]);
    const client = readerOf(local, allowAll);
    const input = { Bucket, Key: `${content}-50000`, Range: "bytes=100-40000" };
    local.aws.fault({ operation: "GetObject", skip: 1, truncateBodyBytes: 1000 });
    const { Body } = await client.get(input);
    expect(await errorOf(() => Body.transformToByteArray())).toEqual(coded("BODY_INTERRUPTED"));
    const s3 = {
      async send(...args: Parameters<typeof local.s3.send>) {
        const answer = (await local.s3.send(...args)) as unknown as { ContentRange?: string };
        return { ...answer, ContentRange: answer.ContentRange?.replace(/\d+$/, (total) => `${total}1`) };
      },
    } as unknown as typeof local.s3;
    const odd = readerOf(local, allowAll, { s3: onceOdd(s3, local.s3) });
    expect(await errorOf(() => odd.get(input))).toEqual(coded("S3_REQUEST_FAILED"));
  });
});

/** Answers the first request as it should be, all others oddly. */
function onceOdd(odd: typeof local.s3, even: typeof local.s3): typeof local.s3 {
  let count = 0;
  return {
    send: (...args: Parameters<typeof odd.send>) => (count++ === 0 ? even : odd).send(...args),
  } as unknown as typeof local.s3;
}

describe("the commitment of a legacy object", () => {
  it.each(["x-amz-d", "x-amz-i", "x-amz-3"])(
    "that %s breaks is found out by a range as well",
    async (name) => {
      const { body, metadata } = await writeLegacy(plain(100), localShapes["115"]);
      const bytes = Buffer.from(metadata[name] ?? "", "base64");
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      await local.putRaw("k", body, { ...metadata, [name]: bytes.toString("base64") });
      const client = readerOf(local, allowAll);
      for (const input of [{}, { Range: "bytes=0-1" }]) {
        expect(await errorOf(() => client.get({ Bucket, Key: "k", ...input }))).toEqual(
          coded("DECRYPTION_FAILED"),
        );
      }
    },
  );
});

describe("a response with the Content-Range of a part of the object to a request without a Range", () => {
  it("is refused", async () => {
    await store(local, "k", await writeLegacy(plain(100), localShapes["115"]));
    const s3 = {
      async send(...args: Parameters<typeof local.s3.send>) {
        return { ...((await local.s3.send(...args)) as unknown as object), ContentRange: "bytes 0-114/116" };
      },
    } as unknown as typeof local.s3;
    const call = () => readerOf(local, {}, { s3 }).get({ Bucket, Key: "k" });
    expect(await errorOf(call)).toEqual(coded("S3_REQUEST_FAILED"));
    const parts = { Bucket, Key: "k", PartNumber: 1 } as GetInput;
    expect(await errorOf(() => readerOf(local).get(parts))).toBeInstanceOf(TypeError);
  });
});
