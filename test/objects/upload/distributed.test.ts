import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ListPartsCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type UploadedPart, type UploadTicket, uploadPartRange } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-shared-"));
const filePath = join(folder, "source");
const Key = "shared";
const encryptionContext = { tenant: "42" };
const bytes = testBytes(2 * partBytes + 5, 4);
writeFileSync(filePath, bytes);
afterAll(() => rmSync(folder, { recursive: true }));

let ticket: UploadTicket;
const input = { Bucket, Key, encryptionContext, plaintextLength: bytes.length };
/** A copy through JSON, as tickets and results travel between processes. */
const sent = <T>(value: T): T => JSON.parse(JSON.stringify(value));
const bodyOf = (PartNumber: number, all = bytes) => {
  const { start, end } = uploadPartRange(ticket, PartNumber);
  return all.subarray(start, end);
};
const part = (PartNumber: number, all = bytes) => ({
  ticket,
  PartNumber,
  encryptionContext,
  Body: bodyOf(PartNumber, all),
  tagDigest: "first-attempt",
});
const sendAll = (client = local.client) =>
  Promise.all([1, 2, 3].map(async (number) => sent(await client.uploadPart(part(number)))));

beforeEach(async () => {
  ticket = sent(await local.client.beginUpload({ ...input, ContentType: "text/x" }));
});
afterEach(async () => {
  await local.client.abortUpload({ ticket });
  await local.client.delete({ Bucket, Key });
  expect(await local.removeAll()).toEqual({ keys: [], uploads: [] });
});

async function expectObject(): Promise<void> {
  const { Body, ContentType } = await local.client.get({ Bucket, Key, encryptionContext });
  expectBytes(Buffer.from(await Body.transformToByteArray()), bytes);
  expect(ContentType).toBe("text/x");
}

describe("a distributed upload", () => {
  it("several clients upload the parts of one object, from bytes, a file and a source", async () => {
    const { Body: _body, ...one } = part(1);
    const { Body: _other, ...two } = part(2);
    const read = async (start: number, end: number) => bytes.subarray(start, end);
    const parts = await Promise.all([
      local.clientWith({}).uploadPart(part(3)),
      local.clientWith({ partSizeBytes: 2 * partBytes }).uploadPart({ ...one, filePath }),
      local.clientWith({}).uploadPart({ ...two, source: { length: bytes.length, read } }),
    ]);
    const output = await local
      .clientWith({})
      .completeUpload({ ticket, parts: sent(parts), encryptionContext });
    expect(output).toMatchObject({ plaintextLength: bytes.length, ETag: expect.stringMatching(/-3"$/) });
    await expectObject();
  });

  it("uploadPartRange returns whole chunks, and the chunk that two parts share for both", () => {
    expect(ticket).toMatchObject({ plaintextLength: bytes.length, partBytes, partCount: 3 });
    const ranges = [1, 2, 3].map((number) => uploadPartRange(ticket, number));
    expect(ranges[0]?.start).toBe(0);
    expect(ranges[2]?.end).toBe(bytes.length);
    for (const { start } of ranges) expect(start % 16_384).toBe(0);
    expect((ranges[0]?.end ?? 0) - (ranges[1]?.start ?? 0)).toBe(16_384);
    expect(() => uploadPartRange(ticket, 4)).toThrow(RangeError);
  });

  it("each client asks its keyring once for all parts of a ticket", async () => {
    let calls = 0;
    const counting = {
      ...keyring,
      generateDataKey: keyring.generateDataKey.bind(keyring),
      unwrapDataKey: (given: Parameters<typeof keyring.unwrapDataKey>[0]) => {
        calls += 1;
        return keyring.unwrapDataKey(given);
      },
    };
    const client = local.clientWith({ keyring: counting });
    const parts = await sendAll(client);
    await client.uploadPart(part(2));
    expect(calls).toBe(1);
    await client.completeUpload({ ticket, parts: await sendAll(client), encryptionContext });
    expect([calls, parts.length]).toEqual([1, 3]);
  });

  it("a distributed upload of an empty object has one part", async () => {
    await local.client.abortUpload({ ticket });
    ticket = await local.client.beginUpload({ ...input, plaintextLength: 0 });
    expect(ticket.partCount).toBe(1);
    const parts = [await local.client.uploadPart({ ...part(1), Body: new Uint8Array(0) })];
    expect(await local.client.completeUpload({ ticket, parts, encryptionContext })).toMatchObject({
      plaintextLength: 0,
      ciphertextLength: 72,
    });
  });

  it("abortUpload removes the sidecar of a distributed upload", async () => {
    await local.client.abortUpload({ ticket });
    ticket = await local.client.beginUpload({ ...input, envelopeStorage: "sidecar" });
    expect((await local.contents()).keys).toEqual([expect.stringMatching(/^shared\..*\.envelope$/)]);
    await local.client.abortUpload({ ticket: sent(ticket) });
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
    local.operations();
    await local.client.abortUpload({ ticket });
    expect(local.operations()).toEqual(["ListParts", "AbortMultipartUpload"]);
  });

  it("completeUpload sends the condition of beginUpload, and can be repeated after a lost response", async () => {
    await local.client.abortUpload({ ticket });
    ticket = sent(await local.client.beginUpload({ ...input, ContentType: "text/x", IfNoneMatch: "*" }));
    const parts = await sendAll();
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    local.aws.fault({ operation: "HeadObject", status: 503 });
    const complete = () => local.client.completeUpload({ ticket, parts, encryptionContext });
    expect(await errorOf(complete)).toEqual(coded("S3_UNAVAILABLE"));
    await complete();
    await expectObject();
    ticket = sent(await local.client.beginUpload({ ...input, IfNoneMatch: "*" }));
    const again = { ticket, parts: await sendAll(), encryptionContext };
    expect(await errorOf(() => local.client.completeUpload(again))).toEqual(coded("S3_PRECONDITION_FAILED"));
  });
});

describe("a part that was sent before", () => {
  const changed = Buffer.from(bytes);
  changed[partBytes + 50_000] = 1 ^ (changed[partBytes + 50_000] ?? 0);

  it("uploadPart with the tagDigest of an earlier attempt sends the same bytes, and refuses others with nothing sent", async () => {
    const digests: string[] = [];
    const onSealed = async ({ tagDigest }: { tagDigest: string }) => {
      expect(local.operations()).not.toContain("UploadPart");
      digests.push(tagDigest);
    };
    local.operations();
    const { tagDigest } = await local.client.uploadPart({ ...part(2), onSealed });
    expect(digests).toEqual([tagDigest]);
    local.operations();
    const replaced = await errorOf(() => local.clientWith({}).uploadPart({ ...part(2, changed), tagDigest }));
    expect(replaced).toEqual(coded("SOURCE_CHANGED", { partNumber: 2 }));
    expect(local.operations()).toEqual([]);
    await local.clientWith({}).uploadPart({ ...part(2), tagDigest });
    expect(local.operations()).toEqual(["UploadPart"]);
  });

  it("a client refuses other bytes for a part that it has sent, and for its neighbour", async () => {
    const other = Buffer.from(bytes);
    other[uploadPartRange(ticket, 2).start] = 1 ^ (other[uploadPartRange(ticket, 2).start] ?? 0);
    await local.client.uploadPart(part(2));
    local.operations();
    for (const one of [part(2, changed), part(1, other)]) {
      const error = await errorOf(() => local.client.uploadPart(one));
      expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: one.PartNumber }));
    }
    expect(local.operations()).toEqual([]);
    await local.client.uploadPart(part(1));
  });

  it("uploadPart sends nothing when onSealed rejects", async () => {
    local.operations();
    const mine = new Error("no database");
    const onSealed = () => Promise.reject(mine);
    expect(await errorOf(() => local.client.uploadPart({ ...part(1), onSealed }))).toBe(mine);
    expect(local.operations()).toEqual(["ListParts"]);
  });

  it("completeUpload refuses neighbouring parts of different sources, and sends nothing", async () => {
    const { start } = uploadPartRange(ticket, 2);
    const other = Buffer.from(bytes);
    other[start + 3] = 1 ^ (other[start + 3] ?? 0);
    const parts: UploadedPart[] = [];
    for (const one of [part(1), part(2, other), part(3)])
      parts.push(await local.clientWith({}).uploadPart(one));
    local.operations();
    const error = await errorOf(() => local.client.completeUpload({ ticket, parts, encryptionContext }));
    expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: 1 }));
    expect(local.operations()).toEqual([]);
  });

  it("uploadPart refuses a source of another length than the ticket states", async () => {
    const { Body: _body, ...one } = part(1);
    const source = { length: bytes.length - 1, read: async () => bytes };
    expect(await errorOf(() => local.client.uploadPart({ ...one, source }))).toEqual(coded("SOURCE_CHANGED"));
  });
});

describe("a ticket", () => {
  it("a ticket is plain data without secrets", () => {
    expect(sent(ticket)).toEqual(ticket);
    expect(Object.keys(ticket.envelope).every((name) => name.startsWith("s3e-"))).toBe(true);
  });

  it.each([
    ["another bucket", { Bucket: "other-bucket" }],
    ["another key", { Key: "other" }],
    ["another upload", { UploadId: "other" }],
    ["another length", { plaintextLength: bytes.length + 1 }],
    ["other parts", { partBytes: partBytes + 1 }],
    ["no condition any more", { IfNoneMatch: "*" }],
    ["another storage of the envelope", { envelopeStorage: "sidecar" as const }],
  ])("a changed ticket is refused before any request: %s", async (_, change) => {
    const forged = { ...ticket, ...change };
    const { Body: _body, ...one } = part(1);
    const { start, end } = uploadPartRange(forged, 1);
    local.operations();
    const Body = testBytes(end - start);
    const error = await errorOf(() => local.client.uploadPart({ ...one, ticket: forged, Body }));
    expect(error).toEqual(coded("CHECKPOINT_INVALID", { field: "ticket" }));
    const parts = [1, 2, 3].map((PartNumber) => resultOf(PartNumber));
    const completing = { ticket: forged, parts, encryptionContext };
    expect(await errorOf(() => local.client.completeUpload(completing))).toEqual(coded("CHECKPOINT_INVALID"));
    expect(local.operations()).toEqual([]);
  });

  it("a ticket with the envelope of another upload is refused", async () => {
    const other = await local.client.beginUpload(input);
    const forged = { ...ticket, envelope: other.envelope };
    expect(await errorOf(() => local.client.uploadPart({ ...part(1), ticket: forged }))).toEqual(
      coded("CHECKPOINT_INVALID"),
    );
    const mixed = { ...ticket.envelope, "s3e-recipients": other.envelope["s3e-recipients"] ?? "" };
    const error = await errorOf(() =>
      local.client.uploadPart({ ...part(1), ticket: { ...ticket, envelope: mixed } }),
    );
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    await local.client.abortUpload({ ticket: other });
  });

  it("a ticket with another encryption context than the call states is refused", async () => {
    local.operations();
    const other = { ...part(1), encryptionContext: { tenant: "43" } };
    expect(await errorOf(() => local.client.uploadPart(other))).toEqual(coded("CONTEXT_MISMATCH"));
    const { encryptionContext: _context, ...none } = part(1);
    expect(await errorOf(() => local.client.uploadPart(none))).toEqual(coded("CONTEXT_MISMATCH"));
    expect(local.operations()).toEqual([]);
    await local.client.uploadPart({ ...part(1), encryptionContext: "any" });
  });

  it("a ticket is refused by a client without its key", async () => {
    const foreign = { ...keyring, generateDataKey: keyring.generateDataKey, unwrapDataKey: async () => null };
    const error = await errorOf(() => local.clientWith({ keyring: foreign }).uploadPart(part(1)));
    expect(error).toEqual(coded("KEY_NOT_FOR_OBJECT"));
  });

  it.each([
    ["nothing", undefined, "ticket"],
    ["another format", { format: "s3-envelope/upload 2" }, "ticket.format"],
    ["a number", { Key: 5 }, "ticket.Key"],
    ["sizes that contradict each other", { partCount: 2 }, "ticket.partCount"],
    ["no MAC", { mac: "" }, "ticket.mac"],
    ["an unknown field", { more: 1 }, "ticket"],
  ])("a malformed ticket is refused, and the error names the field: %s", async (_, change, field) => {
    const forged = change === undefined ? undefined : { ...ticket, ...change };
    const error = await errorOf(() => local.client.abortUpload({ ticket: forged ?? [] } as never));
    expect(error).toEqual(coded("CHECKPOINT_INVALID", { field }));
  });
});

const resultOf = (PartNumber: number): UploadedPart => ({
  PartNumber,
  ETag: '"x"',
  size: PartNumber === 3 ? 2 * 0 + lastSize() : partBytes,
  checksums: {},
  tagDigest: "0".repeat(64),
  firstTag: "0".repeat(32),
  lastTag: "0".repeat(32),
  mac: `${"A".repeat(43)}=`,
});
const lastSize = () => 56 + bytes.length + (Math.floor(bytes.length / 16_384) + 1) * 16 - 2 * partBytes;

it.each([
  ["none", () => [], "parts"],
  ["one missing", () => [resultOf(1), resultOf(3)], "parts"],
  ["one twice", () => [resultOf(1), resultOf(2), resultOf(3), resultOf(2)], "parts[3]"],
  ["one that is not of this upload", () => [{ ...resultOf(1), size: 5 }], "parts[0].size"],
  ["one without ETag", () => [{ ...resultOf(1), ETag: "" }], "parts[0].ETag"],
  ["one beyond the last", () => [{ ...resultOf(1), PartNumber: 4 }], "parts[0].PartNumber"],
  ["odd checksums", () => [{ ...resultOf(1), checksums: { Bucket: "x" } }], "parts[0].checksums"],
])(
  "completeUpload refuses malformed results of parts, and the error names the field: %s",
  async (_, parts, field) => {
    local.operations();
    const error = await errorOf(() =>
      local.client.completeUpload({ ticket, parts: parts() as UploadedPart[], encryptionContext }),
    );
    expect(error).toEqual(coded("CHECKPOINT_INVALID", { field }));
    expect(local.operations()).toEqual([]);
  },
);

it("a ticket does not contain the customer-provided key, which every call must state", async () => {
  const SSECustomerKey = "k".repeat(32);
  const encrypted = { ...input, SSECustomerKey, SSECustomerAlgorithm: "AES256" };
  const own = await local.client.beginUpload(encrypted);
  expect(JSON.stringify(own)).not.toContain(SSECustomerKey);
  expect(JSON.stringify(own)).not.toContain(Buffer.from(SSECustomerKey).toString("base64"));
  for (const key of [undefined, "j".repeat(32)]) {
    const error = await errorOf(() =>
      local.client.uploadPart({ ...part(1), ticket: own, SSECustomerKey: key }),
    );
    expect(error).toEqual(coded("CHECKPOINT_INVALID", { field: "SSECustomerKey" }));
  }
  await local.client.uploadPart({ ...part(1), ticket: own, SSECustomerKey });
  const { UploadId } = own;
  const { Parts = [] } = await local.s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
  expect(Parts).toHaveLength(1);
  await local.client.abortUpload({ ticket: own });
});

it.each([
  ["a part number beyond the last", { PartNumber: 4 }, "PartNumber: expected an integer from 1 to 3"],
  ["a body of another length", { Body: testBytes(5) }, "Body: expected"],
  ["two sources", { filePath }, "Body, filePath, source: expected one of them"],
  ["no source", { Body: undefined }, "filePath, source: expected one of them"],
  ["a malformed tagDigest", { tagDigest: "x" }, 'tagDigest: expected "first-attempt", or the digest'],
  ["no tagDigest", { tagDigest: undefined }, 'tagDigest: expected "first-attempt", or the digest'],
  ["an onSealed that is no function", { onSealed: 1 }, "onSealed: expected a function"],
])("uploadPart refuses %s before any request", async (_, change, message) => {
  local.operations();
  const error = await errorOf(() => local.client.uploadPart({ ...part(1), ...change } as never));
  expect([TypeError, RangeError]).toContain(error.constructor);
  expect(error.message).toContain(message);
  expect(local.operations()).toEqual([]);
});
