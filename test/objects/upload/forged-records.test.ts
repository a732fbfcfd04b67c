/** Function x record x forged field: which requests go out before the refusal. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EnvelopeError, type UploadedPart, type UploadTicket, uploadPartRange } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-forged-"));
const filePath = join(folder, "source");
const checkpointPath = join(folder, "checkpoint");
const encryptionContext = { tenant: "42" };
const bytes = testBytes(partBytes + 1000, 8);
const otherBucket = "forged-bucket";
const storages = ["metadata", "sidecar"] as const;
type Storage = (typeof storages)[number];

/** What JSON holds. */
type Json = string | number | { readonly [name: string]: Json } | readonly Json[];

/** Every value of a record, each replaced by others of its kind, and every record without one of its fields. */
function* forgeries(value: Json, path = ""): Generator<readonly [path: string, forged: Json | undefined]> {
  if (typeof value === "number") {
    yield [path, value + 1];
    if (value > 1) yield [`${path} less`, value - 1];
  } else if (typeof value === "string") {
    // Of the same alphabet, so that only a MAC can tell.
    const last = value.at(-1) === "A" ? "B" : "A";
    yield [
      path,
      /^[0-9a-f]+$/.test(value)
        ? value.replace(/.$/, (c) => (c === "0" ? "1" : "0"))
        : `${value.slice(0, -1)}${last}`,
    ];
    yield [`${path} begins otherwise`, value.replace(/^./, (c) => (c === "a" ? "b" : "a"))];
  } else {
    for (const [name, field] of Object.entries(value)) {
      const others = Object.fromEntries(Object.entries(value).filter(([other]) => other !== name));
      yield [`${path}.${name} is missing`, others];
      for (const [where, forged] of forgeries(field as Json, `${path}.${name}`))
        yield [where, forged === undefined ? others : { ...value, [name]: forged }];
    }
  }
}

/** Fields that a ticket need not have, and that somebody has added. */
const added: Record<string, Json> = {
  ChecksumAlgorithm: "SHA256",
  RequestPayer: "requester",
  ExpectedBucketOwner: "111122223333",
  SSECustomerAlgorithm: "AES256",
  IfMatch: '"x"',
  IfNoneMatch: "*",
  sourceModifiedMs: 5,
  sourceDigest: "x",
};

const tickets = new Map<Storage, UploadTicket>();
const results = new Map<Storage, UploadedPart[]>();
const checkpoints = new Map<Storage, string>();
const keyOf = (storage: Storage) => `forged ${storage}`;

function partOf(ticket: UploadTicket, PartNumber: number) {
  const { start, end } = uploadPartRange(ticket, PartNumber);
  const Body = bytes.subarray(start, end);
  return { ticket, PartNumber, Body, encryptionContext, tagDigest: "first-attempt" };
}

beforeAll(async () => {
  writeFileSync(filePath, bytes);
  await local.s3.send(new CreateBucketCommand({ Bucket: otherBucket }));
  for (const envelopeStorage of storages) {
    const object = { Bucket, Key: keyOf(envelopeStorage), encryptionContext, envelopeStorage };
    const ticket = await local.client.beginUpload({ ...object, plaintextLength: bytes.length });
    const parts = [
      await local.client.uploadPart(partOf(ticket, 1)),
      await local.client.uploadPart(partOf(ticket, 2)),
    ];
    tickets.set(envelopeStorage, JSON.parse(JSON.stringify(ticket)));
    results.set(envelopeStorage, JSON.parse(JSON.stringify(parts)));
    local.aws.fault({ operation: "UploadPart", skip: 1, status: 403, code: "AccessDenied" });
    const client = local.clientWith({ maxConcurrentParts: 1 });
    const upload = { ...object, Metadata: { a: "b" }, filePath, checkpointPath };
    expect(await errorOf(() => client.upload(upload))).toEqual(coded("S3_ACCESS_DENIED"));
    local.aws.clearFaults();
    checkpoints.set(envelopeStorage, readFileSync(checkpointPath, "utf8"));
    rmSync(checkpointPath);
  }
  local.operations();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A client that has not seen any of it. */
const stranger = () => local.clientWith({});

async function refused(act: () => Promise<unknown>): Promise<void> {
  const error = await errorOf(act);
  expect(error).toBeInstanceOf(EnvelopeError);
  const codes = ["CHECKPOINT_INVALID", "CONTEXT_MISMATCH", "DECRYPTION_FAILED", "KEY_NOT_FOR_OBJECT"];
  expect([...codes, "ENVELOPE_VERSION_UNSUPPORTED", "SOURCE_CHANGED"]).toContain(
    (error as EnvelopeError).code,
  );
}

/** Runs a call that may end the upload of a forged record, and nothing else. */
async function abortsAtMost(act: () => Promise<unknown>): Promise<void> {
  local.operations();
  await act().catch((error: unknown) => expect(error).toBeInstanceOf(EnvelopeError));
  expect([[], ["AbortMultipartUpload"]]).toContainEqual(local.operations());
}

describe.each(storages)("with the envelope in %s", (storage) => {
  const ticketOf = () => tickets.get(storage) as UploadTicket;
  const forgedTickets = () => [
    ...forgeries(ticketOf() as unknown as Json),
    ...Object.entries(added).map(([name, value]) => [name, { ...ticketOf(), [name]: value }] as const),
    ["another bucket that is there", { ...ticketOf(), Bucket: otherBucket }] as const,
  ];

  it("no field of a ticket can be forged: uploadPart and completeUpload send nothing", async () => {
    let count = 0;
    for (const [where, forged] of forgedTickets()) {
      const ticket = forged as unknown as UploadTicket;
      const client = stranger();
      const part = { ...partOf(ticketOf(), 1), ticket };
      // Of the very length that the forged ticket asks for.
      try {
        const { start, end } = uploadPartRange(ticket, 1);
        part.Body = testBytes(end - start);
      } catch {}
      const digest = { sourceDigest: (ticket as UploadTicket).sourceDigest };
      await refused(() => client.uploadPart({ ...part, ...digest }));
      await refused(() =>
        client.completeUpload({ ticket, parts: results.get(storage) ?? [], encryptionContext }),
      );
      expect(local.operations(), where).toEqual([]);
      count += 1;
    }
    expect(count).toBeGreaterThan(50);
  });

  it("a forged ticket ends at most the upload that it names", async () => {
    for (const [, forged] of forgedTickets()) {
      // The upload itself is to stay for the other tests.
      local.aws.fault({ operation: "AbortMultipartUpload", status: 204 });
      await abortsAtMost(() => stranger().abortUpload({ ticket: forged as unknown as UploadTicket }));
      local.aws.clearFaults();
    }
  });

  it("no field of a part's result can be forged: completeUpload sends nothing", async () => {
    const [one, two] = results.get(storage) ?? [];
    const ticket = ticketOf();
    let count = 0;
    const added: Json = { ...(one as unknown as Record<string, Json>), sourceModifiedMs: 5 };
    for (const [where, forged] of [...forgeries(one as unknown as Json), ["a time", added] as const]) {
      const parts = [forged, two] as unknown as UploadedPart[];
      await refused(() => stranger().completeUpload({ ticket, parts, encryptionContext }));
      expect(local.operations(), where).toEqual([]);
      count += 1;
    }
    expect(count).toBeGreaterThan(20);
  });

  it("results of the parts of another upload are refused, though the key and the bytes are the same", async () => {
    const { Key } = ticketOf();
    const client = stranger();
    const own = { Bucket, Key, encryptionContext, envelopeStorage: storage, plaintextLength: bytes.length };
    const ticket = await client.beginUpload(own);
    local.operations();
    await refused(() =>
      client.completeUpload({ ticket, parts: results.get(storage) ?? [], encryptionContext }),
    );
    expect(local.operations()).toEqual([]);
    await client.abortUpload({ ticket });
  });

  const forgedCheckpoints = function* () {
    const lines = (checkpoints.get(storage) ?? "").trimEnd().split("\n");
    for (const [index, line] of lines.entries()) {
      for (const [where, forged] of forgeries(JSON.parse(line))) {
        const changed = lines.with(index, JSON.stringify(forged));
        yield [`line ${index + 1}${where}`, `${changed.join("\n")}\n`] as const;
      }
    }
  };
  const call = () => ({
    ...{ Bucket, Key: keyOf(storage), encryptionContext, envelopeStorage: storage, Metadata: { a: "b" } },
    ...{ filePath, checkpointPath },
  });

  it("no field of a checkpoint can be forged: upload sends nothing and keeps the file", async () => {
    let count = 0;
    for (const [where, text] of forgedCheckpoints()) {
      writeFileSync(checkpointPath, text, { mode: 0o600 });
      await refused(() => stranger().upload(call()));
      expect(local.operations(), where).toEqual([]);
      expect(readFileSync(checkpointPath, "utf8").startsWith(text), where).toBe(true);
      count += 1;
    }
    expect(count).toBeGreaterThan(80);
  });

  it("a checkpoint of another object is refused by upload, whatever else in it is right", async () => {
    for (const other of [{ Key: "other" }, { Bucket: otherBucket }]) {
      writeFileSync(checkpointPath, checkpoints.get(storage) ?? "", { mode: 0o600 });
      await refused(() => stranger().upload({ ...call(), ...other }));
      expect(local.operations()).toEqual([]);
    }
  });

  it("a forged checkpoint ends at most the upload that it names", async () => {
    for (const [where, text] of forgedCheckpoints()) {
      // The other fields are not for an abort, which goes by the ticket.
      if (!where.startsWith("line 1.ticket")) continue;
      local.aws.fault({ operation: "AbortMultipartUpload", status: 204 });
      writeFileSync(checkpointPath, text, { mode: 0o600 });
      await abortsAtMost(() => stranger().abortUpload({ checkpointPath }));
      local.aws.clearFaults();
    }
  });
});

describe("an object that is there", () => {
  const at = { Bucket, Key: "live", encryptionContext };

  /** A checkpoint of an upload that does not exist, with the salt and the size of the object. */
  async function forgedCheckpoint(): Promise<void> {
    const { metadata } = await local.getRaw(at.Key);
    const [first = ""] = (checkpoints.get("metadata") ?? "").split("\n");
    const header = JSON.parse(first);
    const fields = { ...header.fields, Key: at.Key };
    const envelope = { ...header.ticket.envelope, ...metadata };
    const ticket = { ...header.ticket, Key: at.Key, UploadId: "none", envelope };
    writeFileSync(checkpointPath, `${JSON.stringify({ ...header, ticket, fields })}\n`, { mode: 0o600 });
  }

  it("does not pass for what a forged checkpoint has uploaded: the update is not dropped in silence", async () => {
    await local.client.put({ ...at, Body: testBytes(bytes.length, 99), Metadata: { a: "b" } });
    await forgedCheckpoint();
    local.operations();
    await refused(() => local.client.upload({ ...at, Metadata: { a: "b" }, filePath, checkpointPath }));
    expect(local.operations()).toEqual([]);
    rmSync(checkpointPath);
    await local.client.upload({ ...at, Metadata: { a: "b" }, filePath, checkpointPath });
    expectBytes(Buffer.from(await (await local.client.get(at)).Body.transformToByteArray()), bytes);
  });

  it("keeps its sidecar when a ticket of another upload is forged with its salt and commitment", async () => {
    const client = local.clientWith({ envelopeStorage: "sidecar" });
    await client.put({ ...at, Body: "alive" });
    const ticket = await client.beginUpload({ ...at, plaintextLength: 5 });
    const { metadata } = await local.getRaw(at.Key);
    const salted = {
      "s3e-salt": metadata["s3e-salt"] ?? "",
      "s3e-commitment": metadata["s3e-commitment"] ?? "",
    };
    const forged = { ...ticket, envelope: { ...ticket.envelope, ...salted } };
    local.operations();
    await stranger().abortUpload({ ticket: forged });
    expect(local.operations()).toEqual(["AbortMultipartUpload"]);
    expect(await (await client.get(at)).Body.transformToString()).toBe("alive");
    await client.abortUpload({ ticket });
  });
});

describe("abortUpload of an upload with a sidecar", () => {
  const input = {
    Bucket,
    Key: "given up",
    encryptionContext,
    envelopeStorage: "sidecar",
    plaintextLength: 5,
  } as const;

  it("removes the sidecar when the key shows that the ticket is what was issued", async () => {
    const ticket = await local.client.beginUpload(input);
    local.operations();
    expect(await stranger().abortUpload({ ticket })).toEqual({});
    expect(local.operations()).toEqual(["ListParts", "AbortMultipartUpload", "HeadObject", "DeleteObject"]);
  });

  it("is refused when the key shows that the ticket was changed, and nothing is sent", async () => {
    const ticket = await local.client.beginUpload(input);
    local.operations();
    const forged = { ...ticket, UploadId: "another" };
    expect(await errorOf(() => stranger().abortUpload({ ticket: forged }))).toEqual(
      coded("CHECKPOINT_INVALID"),
    );
    expect(local.operations()).toEqual([]);
    await local.client.abortUpload({ ticket });
  });

  it("without its key ends the upload, keeps the sidecar and names it", async () => {
    const ticket = await local.client.beginUpload(input);
    const foreign = { ...keyring, generateDataKey: keyring.generateDataKey, unwrapDataKey: async () => null };
    local.operations();
    const output = await local.clientWith({ keyring: foreign }).abortUpload({ ticket });
    expect(local.operations()).toEqual(["AbortMultipartUpload"]);
    const { keys } = await local.contents();
    expect(keys.filter((key) => key.startsWith("given up"))).toEqual([output.possiblyOrphanedSidecarKey]);
  });

  it("does nothing while its key service is out of reach: a later call can do all of it", async () => {
    const ticket = await local.kmsClient.beginUpload(input);
    local.aws.fault({ operation: "Decrypt", status: 503, times: 10 });
    local.operations();
    const client = local.clientWith({
      keyring: {
        ...keyring,
        generateDataKey: keyring.generateDataKey,
        unwrapDataKey: async () => {
          throw new EnvelopeError("KMS_UNAVAILABLE", "out of reach");
        },
      },
    });
    expect(await errorOf(() => client.abortUpload({ ticket }))).toEqual(coded("KMS_UNAVAILABLE"));
    expect(local.operations()).toEqual([]);
    local.aws.clearFaults();
    expect(await local.kmsClient.abortUpload({ ticket })).toEqual({});
  });
});
