/** Frozen MACs of the records of uploads: a change here makes tickets and checkpoints of earlier releases unreadable. */
import { createSecretKey } from "node:crypto";
import { expect, it } from "vitest";
import { checkpointHeader } from "../../../src/objects/upload/checkpoint.js";
import { startedPart, uploadedPart } from "../../../src/objects/upload/parts.js";
import { RecordKey } from "../../../src/objects/upload/records.js";
import { issueTicket } from "../../../src/objects/upload/ticket.js";

const recordKey = new RecordKey(createSecretKey(Buffer.alloc(32, 7)));
const fingerprint = { tagDigest: "0".repeat(64), firstTag: "1".repeat(32), lastTag: "2".repeat(32) };
const put = {
  Bucket: "bucket",
  Key: "key",
  ContentType: "text/plain",
  ChecksumAlgorithm: "CRC32",
  IfNoneMatch: "*",
  SSECustomerAlgorithm: "AES256",
  SSECustomerKey: "k".repeat(32),
} as const;
const ticket = issueTicket(recordKey, {
  put,
  envelope: {
    header: Buffer.alloc(56, 3),
    encryptionContext: { tenant: "42" },
    recipients: [{ provider: "aes", keyId: "key-1", ciphertext: Buffer.alloc(60, 5) }],
  },
  envelopeStorage: "metadata",
  layout: { plaintextLength: 6_000_000, partBytes: 5_242_880, partCount: 2 },
  source: { sourceModifiedMs: 1_700_000_000_123.5, sourceDigest: "v1" },
  UploadId: "upload-1",
});

it("a ticket has frozen fields, in a frozen order, and a frozen MAC", () => {
  expect(Object.keys(ticket)).toEqual([
    ...["format", "Bucket", "Key", "UploadId", "plaintextLength", "partBytes", "partCount"],
    ...["envelopeStorage", "envelope", "ChecksumAlgorithm", "SSECustomerAlgorithm", "SSECustomerKeyMD5"],
    ...["IfNoneMatch", "sourceDigest", "sourceModifiedMs", "mac"],
  ]);
  expect(ticket.mac).toBe("l9LRGEZieXTnS7gPeHM/hFSolxv3n+kgGAyeMBpXfyM=");
});

it("the header of a checkpoint has a frozen MAC, and no customer-provided key", () => {
  const header = checkpointHeader(recordKey, ticket, {
    put,
    target: { operation: "PutObject", bucket: "bucket", key: "key" },
    userMetadata: { b: "2", a: "1" },
    context: { tenant: "42" },
    storage: "metadata",
  });
  expect(JSON.stringify(header)).not.toContain(put.SSECustomerKey);
  expect(header.mac).toBe("mtWzLNtn5CifK14FFvevenSkhF09YkT+HlfNdlw1nP0=");
});

it("the record of a started part has a frozen MAC", () => {
  expect(startedPart(recordKey, ticket.mac, 2, fingerprint)).toEqual({
    ...fingerprint,
    mac: "TRQRSKzNG8aThhnjSWMjPx5bi15sVWms2xWEaXSj1gI=",
  });
});

it("the record of an uploaded part has a frozen MAC, whatever the order of its fields", () => {
  const part = {
    sourceModifiedMs: 5,
    checksums: { ChecksumSHA256: "y", ChecksumCRC32: "x" },
    ...fingerprint,
    size: 5_242_880,
    ETag: '"e"',
    PartNumber: 1,
  };
  expect(uploadedPart(recordKey, ticket.mac, part).mac).toBe("gEaRsiYEnxd11+dZL4T/yzboZjm8KkAhtKaLXwErzSo=");
});
