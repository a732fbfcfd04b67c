import { existsSync, readFileSync } from "node:fs";
import { GetObjectCommand, type GetObjectCommandInput, type S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { expectBytes, testBytes } from "../../support/bytes.js";
import {
  blockBytes,
  blockSealedBytes,
  encryptionContext,
  Key,
  plaintext,
  useDownloads,
} from "../../support/download.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, useLocalAws } from "../../support/local.js";

/** A client that asks for something other than it is told. */
function askingFor(change: (input: GetObjectCommandInput) => Promise<GetObjectCommandInput>): S3Client {
  const send = async (command: GetObjectCommand, options: object) =>
    command instanceof GetObjectCommand
      ? local.s3.send(new GetObjectCommand(await change(command.input)), options)
      : local.s3.send(command, options);
  return { send } as unknown as S3Client;
}

const local = useLocalAws();
const object = { Bucket, Key, encryptionContext };
const { filePath, fetchFile, files, partialPath, ranges } = useDownloads(local);

describe("a block of a download", () => {
  it.each([
    ["is cut off", { truncateBodyBytes: 30_000 }],
    ["breaks before an answer", { reset: "before" }],
    ["is answered by 503", { status: 503, code: "SlowDown" }],
  ] as const)("is asked for again when it %s", async (_, fault) => {
    local.aws.fault({ operation: "GetObject", skip: 2, times: 2, ...fault });
    await fetchFile();
    expectBytes(readFileSync(filePath), plaintext);
    expect(ranges()).toHaveLength(13);
  });

  it("is requested again when it is the first and fails", async () => {
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 100 });
    await fetchFile();
    expectBytes(readFileSync(filePath), plaintext);
    expect(ranges()).toHaveLength(12);
  });

  it("is requested again when it stalls", async () => {
    local.aws.fault({ operation: "GetObject", skip: 1, stallBodyBytes: 100 });
    await fetchFile({}, {}, { idleTimeoutMs: 2000 });
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("that fails five times ends the call, and the partial file is kept and named", async () => {
    await local.client.put({ Bucket, Key: "small", Body: "x" });
    local.operations();
    local.aws.fault({ operation: "GetObject", times: Number.POSITIVE_INFINITY, truncateBodyBytes: 60 });
    const error = await errorOf(() => fetchFile({ Key: "small", encryptionContext: {} }));
    expect(error).toEqual(coded("BODY_INTERRUPTED", { partialPath: partialPath() }));
    expect(ranges()).toHaveLength(5);
    expect(existsSync(filePath)).toBe(false);
  });

  it("is requested twice when it keeps stalling", async () => {
    local.aws.fault({ operation: "GetObject", times: Number.POSITIVE_INFINITY, stallBodyBytes: 100 });
    const error = await errorOf(() => fetchFile({}, {}, { idleTimeoutMs: 200, maxConcurrentParts: 1 }));
    expect(error).toEqual(coded("BODY_STALLED", { bucket: Bucket, key: Key }));
    expect(ranges()).toHaveLength(2);
  });

  it.each([
    ["in a block in the middle", { skip: 4, offset: 20_000 }, {}],
    ["in the header", { skip: 0, offset: 0 }, {}],
    ["in the first chunk", { skip: 0, offset: 60 }, { engine: undefined }],
    ["in the short last chunk", { skip: 10, offset: 5 }, {}],
  ])("is requested once more when one byte was damaged %s", async (_, { skip, offset }, options) => {
    local.aws.fault({ operation: "GetObject", skip, corrupt: { offset, xor: 1 } });
    await fetchFile({}, {}, { maxConcurrentParts: 1, ...options });
    expectBytes(readFileSync(filePath), plaintext);
    expect(ranges()).toHaveLength(12);
  });

  it("that stays damaged ends the call, which names it and keeps the verified blocks", async () => {
    local.aws.fault({ operation: "GetObject", skip: 4, times: 2, corrupt: { offset: 20_000, xor: 1 } });
    const error = await errorOf(() => fetchFile({}, {}, { maxConcurrentParts: 1 }));
    const asked = ranges();
    expect(asked).toHaveLength(6);
    expect(asked[5]).toBe(asked[4]);
    expect(error).toEqual(
      coded("DECRYPTION_FAILED", { bucket: Bucket, key: Key, range: asked[4], partialPath: partialPath() }),
    );
    expect(await fetchFile()).toMatchObject({ resumedBytes: 4 * blockBytes });
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("that stays damaged leaves no file when nothing was verified, or keepPartial is false", async () => {
    for (const [skip, input] of [
      [0, {}],
      [4, { keepPartial: false }],
    ] as const) {
      local.aws.fault({ operation: "GetObject", skip, times: 2, corrupt: { offset: 20_000, xor: 1 } });
      const error = await errorOf(() => fetchFile(input, {}, { maxConcurrentParts: 1 }));
      expect(error).toEqual(coded("DECRYPTION_FAILED", { bucket: Bucket, key: Key }));
      expect(error).not.toHaveProperty("details.partialPath");
      expect(files()).toEqual([]);
    }
  });

  it.each([true, false])(
    "of an overwritten object fails, and no file is kept (store supports If-Match: %s)",
    async (heeded) => {
      const other = { ...object, Key: "changing" };
      await local.client.put({ ...other, Body: plaintext });
      let requests = 0;
      const s3 = askingFor(async (input) => {
        requests += 1;
        if (requests === 4) await local.client.put({ ...other, Body: plaintext });
        return { ...input, IfMatch: heeded ? input.IfMatch : undefined };
      });
      const error = await errorOf(() => fetchFile(other, {}, { s3, maxConcurrentParts: 1 }));
      expect(error).toEqual(coded("BODY_INTERRUPTED", { overwritten: true }));
      expect(error).not.toHaveProperty("details.partialPath");
      expect(requests).toBe(4);
      expect(files()).toEqual([]);
    },
  );

  it("is refused when the response has another range", async () => {
    const s3 = askingFor(async (input) => ({
      ...input,
      Range: input.Range?.startsWith("bytes=0-") ? input.Range : "bytes=0-99",
    }));
    expect(await errorOf(() => fetchFile({ keepPartial: false }, {}, { s3 }))).toEqual(
      coded("S3_REQUEST_FAILED"),
    );
    expect(files()).toEqual([]);
  });

  it("is read from the whole object when a store ignores the Range", async () => {
    const wholly = askingFor(async (input) => ({ ...input, Range: undefined }));
    await fetchFile({}, {}, { s3: wholly });
    expectBytes(readFileSync(filePath), plaintext);
  });
});

describe("a download of an object that cannot be opened", () => {
  it("leaves no file", async () => {
    await local.putRaw("plain", testBytes(100));
    await local.putRaw("nothing", new Uint8Array());
    const { metadata, bytes } = await local.getRaw(Key);
    await local.putRaw("cut", bytes.subarray(0, -17 - 777 + 10), metadata);
    await local.putRaw("emptied", new Uint8Array(), metadata);
    for (const [key, code] of [
      ["plain", "ENVELOPE_MISSING"],
      ["nothing", "ENVELOPE_MISSING"],
      ["cut", "BODY_TRUNCATED"],
      ["emptied", "BODY_TRUNCATED"],
      ["none", "S3_NOT_FOUND"],
    ] as const) {
      expect(await errorOf(() => fetchFile({ Key: key })), key).toEqual(coded(code));
    }
    expect(await errorOf(() => fetchFile({ encryptionContext: {} }))).toEqual(coded("CONTEXT_MISMATCH"));
    expect(files()).toEqual([]);
  });

  it("that was cut off at the end of a block is refused", async () => {
    const { metadata, bytes } = await local.getRaw(Key);
    await local.putRaw("cut", bytes.subarray(0, 56 + 3 * blockSealedBytes + 16), metadata);
    expect(await errorOf(() => fetchFile({ Key: "cut", keepPartial: false }))).toEqual(
      coded("DECRYPTION_FAILED"),
    );
    expect(files()).toEqual([]);
  });
});
