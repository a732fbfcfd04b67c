/** No part of an upload is ever sent with two plaintexts: the checks that prevent it, attempt by attempt. */
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ListPartsCommandInput, S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chunkBytes } from "../../../src/cobblestone/layout.js";
import { type BeginUploadInput, type UploadTicket, uploadPartRange } from "../../../src/index.js";
import { configOf } from "../../../src/objects/client.js";
import { guardOf, PartGuard } from "../../../src/objects/upload/part-guard.js";
import { Crc, crc32 } from "../../../src/testing/s3/wire/crc.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-guard-"));
const filePath = join(folder, "source");
const Key = "guarded";
const bytes = testBytes(2 * partBytes + 5, 4);
const other = Buffer.from(bytes);
for (const at of [5, partBytes + 100_000]) other[at] = 1 ^ (other[at] ?? 0);
const begin = (more: Partial<BeginUploadInput> = {}) =>
  local.client.beginUpload({ Bucket, Key, plaintextLength: bytes.length, ...more });

let ticket: UploadTicket;
beforeEach(async () => {
  ticket = await begin();
  writeFileSync(filePath, bytes);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await local.client.abortUpload({ ticket });
  await local.client.delete({ Bucket, Key });
  expect(await local.removeAll()).toEqual({ keys: [], uploads: [] });
});
afterAll(() => rmSync(folder, { recursive: true }));

function part(PartNumber: number, all = bytes, of = ticket) {
  const { start, end } = uploadPartRange(of, PartNumber);
  return { ticket: of, PartNumber, Body: all.subarray(start, end), tagDigest: "first-attempt" };
}
const fromFile = (PartNumber: number) => ({ ticket, PartNumber, filePath, tagDigest: "first-attempt" });
function crcOf(all: Uint8Array) {
  const crc = new Crc(crc32);
  crc.update(all);
  return crc.digest();
}
const partsSent = () => local.operations().filter((operation) => operation === "UploadPart").length;

describe("a first attempt at a part that S3 has stored", () => {
  it.each([
    ["compared by the default checksum", {}],
    ["compared by SHA-256", { ChecksumAlgorithm: "SHA256" }],
    ["compared by SHA-1", { ChecksumAlgorithm: "SHA1" }],
    ["compared by the ETag", { ChecksumAlgorithm: "CRC32C" }],
  ] as const)(
    "a new client refuses a part that S3 has stored with other bytes, and sends nothing: %s",
    async (_, more) => {
      await local.client.abortUpload({ ticket });
      ticket = await begin(more);
      for (const PartNumber of [1, 2]) {
        await local.clientWith({}).uploadPart(part(PartNumber));
        local.operations();
        const onSealed = vi.fn();
        const error = await errorOf(() =>
          local.clientWith({}).uploadPart({ ...part(PartNumber, other), onSealed }),
        );
        expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: PartNumber }));
        expect(local.operations()).toEqual(["ListParts"]);
        expect(onSealed).not.toHaveBeenCalled();
        // The same bytes are accepted.
        await local.clientWith({}).uploadPart(part(PartNumber));
      }
    },
  );

  it("a client that refused other bytes for a part accepts the right ones", async () => {
    await local.clientWith({}).uploadPart(part(1));
    const client = local.clientWith({});
    expect(await errorOf(() => client.uploadPart(part(1, other)))).toEqual(coded("SOURCE_CHANGED"));
    await client.uploadPart(part(1));
    expect(partsSent()).toBe(2);
  });

  it("a part that cannot be compared with the stored one is sent only with the digest of the earlier attempt", async () => {
    const { UploadId } = ticket;
    const { tagDigest } = await local.clientWith({}).uploadPart(part(1));
    const Body = testBytes(partBytes, 3);
    await local.s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body }));
    const client = local.clientWith({});
    local.operations();
    expect(await errorOf(() => client.uploadPart(part(1)))).toEqual(coded("SOURCE_CHANGED"));
    expect(local.operations()).toEqual(["ListParts"]);
    await client.uploadPart({ ...part(1), tagDigest });
    expect(local.operations()).toEqual(["UploadPart"]);
  });

  it("a part with the CRC-32 of the stored one and other bytes is refused", async () => {
    // The polynomial of CRC-32, lowest bit first. XORed in anywhere, it does not change the CRC.
    const polynomial = Buffer.from([0x41, 0x06, 0x71, 0xdb, 0x01]);
    const forged = Buffer.from(bytes);
    const { end } = uploadPartRange(ticket, 1);
    const lastChunk = Math.floor((end - 1) / chunkBytes) * chunkBytes;
    polynomial.forEach((byte, index) => {
      forged[lastChunk + index] = (forged[lastChunk + index] ?? 0) ^ byte;
    });
    expect(crcOf(forged.subarray(0, end))).toEqual(crcOf(bytes.subarray(0, end)));
    await local.clientWith({}).uploadPart(part(1));
    local.operations();
    const error = await errorOf(() => local.clientWith({}).uploadPart(part(1, forged)));
    expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: 1 }));
    expect(local.operations()).toEqual(["ListParts"]);
  });

  it.each([
    ["ignores the marker", { PartNumberMarker: undefined }, {}],
    ["lists nothing and claims that there is more", {}, { Parts: [], IsTruncated: true }],
  ])("uploadPart refuses a first attempt when a store %s", async (_, request, response) => {
    for (const PartNumber of [1, 2]) await local.clientWith({}).uploadPart(part(PartNumber));
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
    s3.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          if (commandName !== "ListPartsCommand") return next(args);
          Object.assign(args.input as ListPartsCommandInput, request);
          const result = await next(args);
          Object.assign(result.output, response);
          return result;
        },
      { step: "initialize" },
    );
    local.operations();
    const error = await errorOf(() => local.clientWith({ s3 }).uploadPart(part(2, other)));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "ListParts", bucket: Bucket, key: Key }));
    expect(local.operations()).toEqual(["ListParts"]);
    s3.destroy();
  });

  it("uploadPart refuses a first attempt while ListParts fails, and accepts it later", async () => {
    local.operations();
    local.aws.fault({ operation: "ListParts", status: 503 });
    expect(await errorOf(() => local.client.uploadPart(part(1)))).toEqual(coded("S3_UNAVAILABLE"));
    expect(local.operations()).toEqual(["ListParts"]);
    await local.client.uploadPart(part(1));
  });
});

describe("the parts that a client remembers", () => {
  it("a client sends only one of two concurrent first attempts with different bytes", async () => {
    const client = local.clientWith({});
    const outcomes = await Promise.allSettled([
      client.uploadPart(part(1)),
      client.uploadPart(part(1, other)),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(outcomes.find(({ status }) => status === "rejected")).toMatchObject({
      reason: coded("SOURCE_CHANGED"),
    });
    expect(partsSent()).toBe(1);
  });

  it("a client remembers a part after many other tickets, and after its upload was aborted", async () => {
    const client = local.clientWith({});
    await client.uploadPart(part(1));
    for (let count = 0; count < 12; count++) {
      const another = await begin({ plaintextLength: 5 });
      await client.uploadPart({
        ticket: another,
        PartNumber: 1,
        Body: testBytes(5),
        tagDigest: "first-attempt",
      });
      await client.abortUpload({ ticket: another });
    }
    local.operations();
    const changed = part(1, other);
    expect(await errorOf(() => client.uploadPart(changed))).toEqual(coded("SOURCE_CHANGED"));
    await client.abortUpload({ ticket });
    expect(await errorOf(() => client.uploadPart(changed))).toEqual(coded("SOURCE_CHANGED"));
    expect(local.operations()).toEqual(["AbortMultipartUpload"]);
  });

  it("a client remembers 65,536 parts, and beyond that forgets the least recently used upload", () => {
    const settings = configOf("client", local.clientWith({}));
    const fingerprint = { tagDigest: "0".repeat(64), firstTag: "1".repeat(32), lastTag: "1".repeat(32) };
    const layout = { plaintextLength: 10_000 * partBytes, partBytes, partCount: 10_001 };
    const ticketOf = (mac: string) => ({ ...ticket, ...layout, mac });
    for (let upload = 0; upload < 8; upload++) {
      const guard = guardOf(settings, ticketOf(`upload ${upload}`));
      for (let partNumber = 1; partNumber <= 10_000; partNumber++) guard.require(partNumber, fingerprint);
    }
    expect(guardOf(settings, ticketOf("upload 1")).size).toBe(10_000);
    expect(guardOf(settings, ticketOf("upload 0")).size).toBe(0);
  });
});

it.each([
  ["first-attempt", undefined],
  ["digest of an earlier attempt", "digest"],
])(
  "uploadPart fails with a final S3_NOT_FOUND when the upload does not exist any more: %s",
  async (_, stated) => {
    const { tagDigest } = await local.client.uploadPart(part(1));
    await local.client.abortUpload({ ticket });
    const call = { ...part(1), ...(stated && { tagDigest }) };
    const error = await errorOf(() => local.clientWith({}).uploadPart(call));
    expect(error).toMatchObject({ code: "S3_NOT_FOUND", retryable: false });
    expect(error).toMatchObject({ details: { bucket: Bucket, key: Key, serviceError: "NoSuchUpload" } });
  },
);

it("uploadPart ends with its signal while onSealed is pending, and sends nothing", async () => {
  const controller = new AbortController();
  const onSealed = () => {
    controller.abort(new Error("enough"));
    return new Promise<void>(() => undefined);
  };
  const call = local.client.uploadPart({ ...part(1), onSealed }, { abortSignal: controller.signal });
  await expect(call).rejects.toThrow("enough");
  expect(partsSent()).toBe(0);
});

describe("the source that an upload began with", () => {
  it("uploadPart compares the modification time of the source with that of beginUpload before it sends anything", async () => {
    await local.client.abortUpload({ ticket });
    const { mtimeMs } = statSync(filePath);
    ticket = await begin({ sourceModifiedMs: mtimeMs });
    expect(ticket.sourceModifiedMs).toBe(mtimeMs);
    utimesSync(filePath, 5, 5);
    local.operations();
    expect(await errorOf(() => local.client.uploadPart(fromFile(1)))).toEqual(
      coded("SOURCE_CHANGED", { partNumber: 1 }),
    );
    expect(local.operations()).toEqual([]);
  });

  it("uploadPart compares the sourceDigest with that of beginUpload before it sends anything", async () => {
    await local.client.abortUpload({ ticket });
    ticket = await begin({ sourceDigest: "state 1" });
    local.operations();
    for (const more of [{}, { sourceDigest: "state 2" }]) {
      const error = await errorOf(() => local.client.uploadPart({ ...part(1), ...more }));
      expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: 1 }));
    }
    expect(local.operations()).toEqual([]);
    await local.client.uploadPart({ ...part(1), sourceDigest: "state 1" });
  });

  it.each([
    [
      "a time that is not a number",
      { sourceModifiedMs: new Date() },
      TypeError,
      "sourceModifiedMs: expected",
    ],
    ["a time that is NaN", { sourceModifiedMs: Number.NaN }, RangeError, "sourceModifiedMs: expected"],
    ["a digest that is not a string", { sourceDigest: 5 }, TypeError, "sourceDigest: expected"],
    [
      "a digest of 1,025 characters",
      { sourceDigest: "x".repeat(1025) },
      RangeError,
      "sourceDigest: expected at most",
    ],
  ])("beginUpload refuses %s before any request", async (_, more, type, message) => {
    local.operations();
    const error = await errorOf(() => begin(more as never));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toContain(message);
    expect(local.operations()).toEqual([]);
  });

  it("uploadPart checks a file again after reading it, before it sends the part", async () => {
    const handle = await open(filePath);
    await handle.close();
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    const { read } = prototype;
    vi.spyOn(prototype, "read").mockImplementation(async function (this: FileHandle, ...given: unknown[]) {
      const result = await Reflect.apply(read, this, given);
      utimesSync(filePath, 5, 5);
      return result as never;
    });
    local.operations();
    expect(await errorOf(() => local.client.uploadPart(fromFile(1)))).toEqual(
      coded("SOURCE_CHANGED", { path: filePath }),
    );
    expect(local.operations()).toEqual([]);
  });

  it("uploadPart checks a source again after reading it, before it sends the part", async () => {
    const source = {
      length: bytes.length,
      async read(start: number, end: number) {
        source.length = bytes.length + 1;
        return bytes.subarray(start, end);
      },
    };
    local.operations();
    const call = { ticket, PartNumber: 1, source, tagDigest: "first-attempt" };
    expect(await errorOf(() => local.client.uploadPart(call))).toEqual(coded("SOURCE_CHANGED"));
    expect(local.operations()).toEqual([]);
  });
});

describe("completeUpload", () => {
  it("completeUpload refuses parts of a file that was rewritten between them", async () => {
    utimesSync(filePath, 5, 5);
    const parts = [await local.client.uploadPart(fromFile(1))];
    writeFileSync(filePath, other);
    utimesSync(filePath, 6, 6);
    for (const PartNumber of [2, 3]) parts.push(await local.clientWith({}).uploadPart(fromFile(PartNumber)));
    local.operations();
    const error = await errorOf(() => local.client.completeUpload({ ticket, parts }));
    expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: 2 }));
    expect(local.operations()).toEqual([]);
  });

  it("completeUpload accepts a ticket and results whose fields are in another order", async () => {
    const parts = [];
    for (const PartNumber of [1, 2, 3]) {
      const { checksums, ...result } = await local.client.uploadPart(fromFile(PartNumber));
      const reversed = Object.fromEntries(Object.entries(result).reverse()) as typeof result;
      parts.push({ ...reversed, checksums: Object.fromEntries(Object.entries(checksums).reverse()) });
    }
    const shuffled = Object.fromEntries(Object.entries(ticket).reverse()) as unknown as UploadTicket;
    await local.client.completeUpload({ ticket: shuffled, parts });
    const { Body } = await local.client.get({ Bucket, Key });
    expectBytes(Buffer.from(await Body.transformToByteArray()), bytes);
  });
});

it("PartGuard forgets a part that was only expected, and keeps one that was required", () => {
  const guard = new PartGuard({ plaintextLength: bytes.length, partBytes, partCount: 3 });
  const fingerprint = (digit: string) => ({
    tagDigest: digit.repeat(64),
    firstTag: "1".repeat(32),
    lastTag: "2".repeat(32),
  });
  guard.expect(1, fingerprint("0"));
  expect(() => guard.require(1, fingerprint("3"))).toThrow("part 1 differs from what was sent before");
  guard.forget(1);
  guard.require(1, fingerprint("3"));
  guard.expect(1, fingerprint("3"));
  guard.forget(1);
  expect(() => guard.expect(1, fingerprint("0"))).toThrow("part 1 differs from what was sent before");
});
