/** Forged tickets, part results and checkpoints, field by field: no request is sent before a call refuses them. */
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

/** A JSON value. */
type Json = string | number | { readonly [name: string]: Json } | readonly Json[];

/** Replaces every value of a record by others of its kind, and removes every field. */
function* forgeries(value: Json, path = ""): Generator<readonly [path: string, forged: Json | undefined]> {
  if (typeof value === "number") {
    yield [path, value + 1];
    if (value > 1) yield [`${path} less`, value - 1];
  } else if (typeof value === "string") {
    // Of the same alphabet, so that only a MAC detects it.
    const last = value.at(-1) === "A" ? "B" : "A";
    yield [
      path,
      /^[0-9a-f]+$/.test(value)
        ? value.replace(/.$/, (c) => (c === "0" ? "1" : "0"))
        : `${value.slice(0, -1)}${last}`,
    ];
    yield [`${path} with another first character`, value.replace(/^./, (c) => (c === "a" ? "b" : "a"))];
  } else {
    for (const [name, field] of Object.entries(value)) {
      const others = Object.fromEntries(Object.entries(value).filter(([other]) => other !== name));
      yield [`${path}.${name} is missing`, others];
      for (const [where, forged] of forgeries(field as Json, `${path}.${name}`))
        yield [where, forged === undefined ? others : { ...value, [name]: forged }];
    }
  }
}

/** Optional fields that an attacker adds to a ticket. */
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

/** A client that has not seen the records before. */
const stranger = () => local.clientWith({});

async function refused(act: () => Promise<unknown>): Promise<void> {
  const error = await errorOf(act);
  expect(error).toBeInstanceOf(EnvelopeError);
  const codes = ["CHECKPOINT_INVALID", "CONTEXT_MISMATCH", "DECRYPTION_FAILED", "KEY_NOT_FOR_OBJECT"];
  expect([...codes, "ENVELOPE_VERSION_UNSUPPORTED", "SOURCE_CHANGED"]).toContain(
    (error as EnvelopeError).code,
  );
}

/** Runs a call that may abort the upload of a forged record, and may send nothing else. */
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

  it("uploadPart and completeUpload send nothing for a ticket with any forged field", async () => {
    let count = 0;
    for (const [where, forged] of forgedTickets()) {
      const ticket = forged as unknown as UploadTicket;
      const client = stranger();
      const part = { ...partOf(ticketOf(), 1), ticket };
      // Of the length that the forged ticket states.
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

  it("abortUpload with a forged ticket aborts at most the upload that the ticket names", async () => {
    for (const [, forged] of forgedTickets()) {
      // The upload is kept for the other tests.
      local.aws.fault({ operation: "AbortMultipartUpload", status: 204 });
      await abortsAtMost(() => stranger().abortUpload({ ticket: forged as unknown as UploadTicket }));
      local.aws.clearFaults();
    }
  });

  it("completeUpload sends nothing for a part result with any forged field", async () => {
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

  it("completeUpload refuses the part results of another upload of the same object and bytes", async () => {
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

  it("upload sends nothing for a checkpoint with any forged field, and keeps the file", async () => {
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

  it("upload refuses the authentic checkpoint of another object", async () => {
    for (const other of [{ Key: "other" }, { Bucket: otherBucket }]) {
      writeFileSync(checkpointPath, checkpoints.get(storage) ?? "", { mode: 0o600 });
      await refused(() => stranger().upload({ ...call(), ...other }));
      expect(local.operations()).toEqual([]);
    }
  });

  it("abortUpload with a forged checkpoint aborts at most the upload that its ticket names", async () => {
    for (const [where, text] of forgedCheckpoints()) {
      // An abort uses only the ticket.
      if (!where.startsWith("line 1.ticket")) continue;
      local.aws.fault({ operation: "AbortMultipartUpload", status: 204 });
      writeFileSync(checkpointPath, text, { mode: 0o600 });
      await abortsAtMost(() => stranger().abortUpload({ checkpointPath }));
      local.aws.clearFaults();
    }
  });
});

describe("an existing object", () => {
  const at = { Bucket, Key: "live", encryptionContext };

  /** A checkpoint of an upload that does not exist, with the salt and the size of an existing object. */
  async function forgedCheckpoint(): Promise<void> {
    const { metadata } = await local.getRaw(at.Key);
    const [first = ""] = (checkpoints.get("metadata") ?? "").split("\n");
    const header = JSON.parse(first);
    const fields = { ...header.fields, Key: at.Key };
    const envelope = { ...header.ticket.envelope, ...metadata };
    const ticket = { ...header.ticket, Key: at.Key, UploadId: "none", envelope };
    writeFileSync(checkpointPath, `${JSON.stringify({ ...header, ticket, fields })}\n`, { mode: 0o600 });
  }

  it("an existing object is not taken for the result of a forged checkpoint: upload stores the update", async () => {
    await local.client.put({ ...at, Body: testBytes(bytes.length, 99), Metadata: { a: "b" } });
    await forgedCheckpoint();
    local.operations();
    await refused(() => local.client.upload({ ...at, Metadata: { a: "b" }, filePath, checkpointPath }));
    expect(local.operations()).toEqual([]);
    rmSync(checkpointPath);
    await local.client.upload({ ...at, Metadata: { a: "b" }, filePath, checkpointPath });
    expectBytes(Buffer.from(await (await local.client.get(at)).Body.transformToByteArray()), bytes);
  });

  it("the sidecar of an existing object is kept when a ticket is forged with its salt and commitment", async () => {
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

  it("abortUpload removes the sidecar of a ticket that the key verifies", async () => {
    const ticket = await local.client.beginUpload(input);
    local.operations();
    expect(await stranger().abortUpload({ ticket })).toEqual({});
    expect(local.operations()).toEqual(["ListParts", "AbortMultipartUpload", "HeadObject", "DeleteObject"]);
  });

  it("abortUpload refuses a changed ticket of an upload with a sidecar, and sends nothing", async () => {
    const ticket = await local.client.beginUpload(input);
    local.operations();
    const forged = { ...ticket, UploadId: "another" };
    expect(await errorOf(() => stranger().abortUpload({ ticket: forged }))).toEqual(
      coded("CHECKPOINT_INVALID"),
    );
    expect(local.operations()).toEqual([]);
    await local.client.abortUpload({ ticket });
  });

  it("abortUpload without the key aborts the upload, keeps its sidecar and returns the sidecar's key", async () => {
    const ticket = await local.client.beginUpload(input);
    const foreign = { ...keyring, generateDataKey: keyring.generateDataKey, unwrapDataKey: async () => null };
    local.operations();
    const output = await local.clientWith({ keyring: foreign }).abortUpload({ ticket });
    expect(local.operations()).toEqual(["AbortMultipartUpload"]);
    const { keys } = await local.contents();
    expect(keys.filter((key) => key.startsWith("given up"))).toEqual([output.possiblyOrphanedSidecarKey]);
  });

  it("abortUpload sends nothing while the key service is unavailable, and a later call does everything", async () => {
    const ticket = await local.kmsClient.beginUpload(input);
    local.aws.fault({ operation: "Decrypt", status: 503, times: 10 });
    local.operations();
    const client = local.clientWith({
      keyring: {
        ...keyring,
        generateDataKey: keyring.generateDataKey,
        unwrapDataKey: async () => {
          throw new EnvelopeError("KMS_UNAVAILABLE", "unavailable");
        },
      },
    });
    expect(await errorOf(() => client.abortUpload({ ticket }))).toEqual(coded("KMS_UNAVAILABLE"));
    expect(local.operations()).toEqual([]);
    local.aws.clearFaults();
    expect(await local.kmsClient.abortUpload({ ticket })).toEqual({});
  });
});
