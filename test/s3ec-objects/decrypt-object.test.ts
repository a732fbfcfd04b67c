import { Readable } from "node:stream";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { decryptLegacyObject, type LegacyObjectInput } from "../../src/legacy.js";
import { collectUntilError, cut, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { allowAll, localShapes, oldNetFile, shapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { keyringsOf, store } from "./support.js";

const local = useLocalAws();
const kms = () => ({ client: local.aws.kms, keyId: local.keyArn });
const options = (more = {}) => ({ keyring: keyringsOf(local), ...allowAll, ...more });
const plain = (size: number) => testBytes(size, size);
const decrypt = (input: LegacyObjectInput, more = {}) => decryptLegacyObject(input, options(more));

describe("decryptLegacyObject", () => {
  it.each(shapes)("decrypts $format, $content, $wrap without S3", async (shape) => {
    for (const storage of ["metadata", "instruction-file"] as const) {
      const { body, metadata, instructionFile } = await writeLegacy(plain(1000), shape, {
        storage,
        kms: kms(),
      });
      local.operations();
      const output = await decrypt({ Body: body, Metadata: { ...metadata, note: "x" }, instructionFile });
      expectBytes(await output.Body.transformToByteArray(), plain(1000));
      expect(output.Metadata).toEqual({ note: "x" });
      expect(output.ContentLength).toBe(shape.content === "cbc" ? undefined : 1000);
      expect(output.encryptionContext).toEqual(shape.wrap.startsWith("kms") ? {} : undefined);
      expect(output.legacy).toMatchObject({ format: shape.format, wrapAlgorithm: shape.wrap, storage });
      expect(local.operations()).toEqual(shape.wrap.startsWith("kms") ? ["Decrypt"] : []);
    }
  });

  it.each(["cbc", "gcm", "115"] as const)("takes %s content as any body that put takes", async (content) => {
    const { body, metadata } = await writeLegacy(plain(3000), localShapes[content]);
    const bodies = [
      body,
      new Blob([body as Uint8Array<ArrayBuffer>]),
      Readable.from([...cut(body, 1)]),
      new Blob([body as Uint8Array<ArrayBuffer>]).stream() as ReadableStream<Uint8Array>,
      (async function* () {
        yield* cut(body, 7, 100, 3);
      })(),
    ];
    for (const releaseUnverifiedPlaintext of [false, true]) {
      for (const [index, Body] of bodies.entries()) {
        if (releaseUnverifiedPlaintext && index > 1) continue;
        const output = await decrypt({ Body, Metadata: metadata }, { releaseUnverifiedPlaintext });
        expectBytes(await output.Body.transformToByteArray(), plain(3000));
      }
    }
  });

  it("takes the output of a GetObject, but not of a range of the object", async () => {
    await store(local, "k", await writeLegacy(plain(500), localShapes["115"]));
    const output = await local.s3.send(new GetObjectCommand({ Bucket, Key: "k" }));
    const { Body, ContentLength } = await decrypt(output as LegacyObjectInput);
    expect(ContentLength).toBe(500);
    expectBytes(await Body.transformToByteArray(), plain(500));
    const part = await local.s3.send(new GetObjectCommand({ Bucket, Key: "k", Range: "bytes=0-99" }));
    expect(await errorOf(() => decrypt(part as LegacyObjectInput))).toBeInstanceOf(TypeError);
    (part.Body as Readable).destroy();
  });

  it("takes metadata with the prefix of headers, and an instruction file as text or bytes, also of the oldest clients", async () => {
    const v1 = await writeLegacy(plain(40), localShapes.cbc, { storage: "instruction-file" });
    const old = oldNetFile(v1.instructionFile ?? "");
    for (const instructionFile of [old, Buffer.from(old), v1.instructionFile]) {
      const { Body } = await decrypt({ Body: v1.body, instructionFile });
      expectBytes(await Body.transformToByteArray(), plain(40));
    }
    const { body, metadata } = await writeLegacy(plain(40), localShapes["115"]);
    const headers = Object.fromEntries(
      Object.entries(metadata).map(([name, value]) => [`X-Amz-Meta-${name}`, value]),
    );
    const { Body } = await decrypt({ Body: body, Metadata: headers });
    expectBytes(await Body.transformToByteArray(), plain(40));
  });

  it("applies the policy, context and limits of get", async () => {
    const body = async (shape = localShapes.gcm as (typeof shapes)[number], context = {}) => {
      const files = await writeLegacy(plain(100), shape, { kms: kms(), context });
      return { Body: files.body, Metadata: files.metadata };
    };
    const keyring = keyringsOf(local);
    const refused = await errorOf(async () => decryptLegacyObject(await body(), { keyring }));
    expect(refused).toEqual(coded("LEGACY_REFUSED", { option: "commitmentPolicy" }));
    const small = { maxBufferedObjectBytes: 115 };
    expect(await errorOf(async () => decrypt(await body(), small))).toEqual(
      coded("LEGACY_TOO_LARGE", { bytes: 116 }),
    );
    const input = await body({ format: "V3", content: "115", wrap: "kms+context" }, { tenant: "1" });
    expect(await errorOf(() => decrypt(input))).toEqual(coded("CONTEXT_MISMATCH"));
    const { encryptionContext, Body } = await decrypt({ ...input, encryptionContext: { tenant: "1" } });
    expect(encryptionContext).toEqual({ tenant: "1" });
    Body.destroy();
    expect(await errorOf(async () => decrypt({ ...(await body()), encryptionContext: { a: "b" } }))).toEqual(
      coded("CONTEXT_MISMATCH"),
    );
  });

  it("refuses a stream that is too long or too short, and returns none of its plaintext", async () => {
    const { body, metadata: Metadata } = await writeLegacy(plain(100), localShapes["115"]);
    const stream = (bytes: Uint8Array) => Readable.from([bytes]);
    const long = await decrypt({ Body: stream(body), Metadata }, { maxBufferedObjectBytes: 115 });
    expect(await collectUntilError(long.Body)).toEqual({
      released: Buffer.alloc(0),
      error: coded("LEGACY_TOO_LARGE"),
    });
    const short = await decrypt({ Body: stream(body.subarray(0, 15)), Metadata });
    expect(await errorOf(() => short.Body.transformToByteArray())).toEqual(coded("BODY_TRUNCATED"));
    expect(await errorOf(() => decrypt({ Body: body.subarray(0, 15), Metadata }))).toEqual(
      coded("BODY_TRUNCATED"),
    );
    const cutOff = await decrypt({ Body: stream(body.subarray(0, 100)), Metadata, ContentLength: 116 });
    expect(await errorOf(() => cutOff.Body.transformToByteArray())).toEqual(coded("SOURCE_LENGTH_MISMATCH"));
    const changed = Buffer.from(body);
    changed[0] = (changed[0] ?? 0) ^ 1;
    const { Body } = await decrypt({ Body: changed, Metadata });
    expect(await collectUntilError(Body)).toEqual({
      released: Buffer.alloc(0),
      error: coded("DECRYPTION_FAILED"),
    });
  });

  it("refuses a body that was read as text", async () => {
    const { body, metadata: Metadata } = await writeLegacy(plain(100), localShapes["115"]);
    const input = { Body: body.toString(), Metadata } as unknown as LegacyObjectInput;
    const error = await errorOf(() => decrypt(input));
    expect([error.name, error.message]).toEqual([
      "TypeError",
      "Body: expected bytes or a stream of them, got a string",
    ]);
  });

  it("refuses an object without an envelope", async () => {
    const { body } = await writeLegacy(plain(10), localShapes.cbc);
    const calls = [
      [{ Body: body }, "ENVELOPE_MISSING"],
      [{ Body: body, Metadata: { note: "x" } }, "ENVELOPE_MISSING"],
      [{ Body: body, instructionFile: "{}" }, "ENVELOPE_INVALID"],
      [{ Body: body, instructionFile: "null" }, "ENVELOPE_INVALID"],
      [{ Body: body, Metadata: { "x-amz-iv": "AAAA" } }, "ENVELOPE_INVALID"],
    ] as const;
    for (const [input, code] of calls) expect(await errorOf(() => decrypt(input))).toEqual(coded(code));
  });

  it("closes its stream when it is refused, aborted or destroyed", async () => {
    const { body, metadata: Metadata } = await writeLegacy(plain(10), localShapes["115"]);
    const refused = Readable.from([body]);
    expect(await errorOf(() => decrypt({ Body: refused }))).toEqual(coded("ENVELOPE_MISSING"));
    await expect.poll(() => refused.destroyed).toBe(true);
    const destroyed = Readable.from([body]);
    (await decrypt({ Body: destroyed, Metadata })).Body.destroy();
    await expect.poll(() => destroyed.destroyed).toBe(true);
    const never = new Readable({ read: () => undefined });
    const abort = new AbortController();
    const output = await decryptLegacyObject(
      { Body: never, Metadata },
      options({ abortSignal: abort.signal }),
    );
    const reading = collectUntilError(output.Body);
    const reason = new Error("enough");
    abort.abort(reason);
    expect((await reading).error).toBe(reason);
    await expect.poll(() => never.destroyed).toBe(true);
    const early = { abortSignal: AbortSignal.abort(reason) };
    expect(await errorOf(() => decryptLegacyObject({ Body: body, Metadata }, options(early)))).toBe(reason);
  });

  it.each([
    [{ Body: 5 }, "Body"],
    [{ Body: "x", Metadata: 5 }, "Metadata"],
    [{ Body: "x", Metadata: { a: 5 } }, 'Metadata["a"]'],
    [{ Body: "x", Metadata: { a: "1", "x-amz-meta-a": "2" } }, "x-amz-meta-a"],
    [{ Body: "x", instructionFile: 5 }, "instructionFile"],
    [{ Body: Buffer.of(1), ContentLength: 5 }, "ContentLength"],
    [{ Body: "x", encryptionContext: 5 }, "encryptionContext"],
    [undefined, "input"],
  ])("refuses the input %j", async (input, named) => {
    const error = await errorOf(() => decrypt(input as unknown as LegacyObjectInput));
    expect(["TypeError", "RangeError"]).toContain(error.name);
    expect(error.message).toContain(named);
  });
});
