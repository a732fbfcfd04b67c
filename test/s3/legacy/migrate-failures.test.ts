import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import type { EnvelopeError } from "../../../src/index.js";
import { type MigrateInput, migrateObject } from "../../../src/legacy.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { allowAll, type LegacyShape, localShapes, writeLegacy } from "../../support/legacy-objects.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";
import { readerOf, store } from "./support.js";

const local = useLocalAws();
const small = testBytes(50_000, 3);
const large = testBytes(partBytes + 50_000, 4);
const inPlace = { Bucket, Key: "k" };
const elsewhere = { ...inPlace, target: { Key: "new" }, deleteOriginal: true };

async function empty(): Promise<void> {
  const { keys } = await local.contents();
  for (const Key of keys) await local.client.delete({ Bucket, Key });
  await local.client.abortUploads({ Bucket, initiatedBefore: new Date(Date.now() + 60_000) });
  local.operations();
}
beforeEach(empty);

/** An object with an instruction file, and a client that keeps envelopes in sidecars: as many requests as can be. */
async function prepare(plain: Uint8Array) {
  await store(local, "k", await writeLegacy(plain, localShapes["115"], { storage: "instruction-file" }));
  return readerOf(local, {}, { envelopeStorage: "sidecar" });
}

async function expectOriginal(plain: Uint8Array) {
  const { Body, legacy } = await readerOf(local, allowAll).get({ Bucket, Key: "k" });
  expect(legacy).toBeDefined();
  expectBytes(await Body.transformToByteArray(), plain);
}

const sidecarOf = (key: string) => expect.stringMatching(new RegExp(`^${key}\\.[0-9a-f]{48}\\.envelope$`));

/** The requests of a migration, each named by its operation and how many of it went before. */
async function requestsOf(input: MigrateInput, plain: Uint8Array) {
  const client = await prepare(plain);
  await migrateObject(client, input);
  const seen = new Map<string, number>();
  return local.operations().map((operation) => {
    const skip = seen.get(operation) ?? 0;
    seen.set(operation, skip + 1);
    return { operation, skip };
  });
}

const hows = [{ status: 503 }, { status: 403, code: "AccessDenied" }, { reset: "after" }] as const;

describe.each([
  ["in its place", inPlace, small, hows],
  ["in its place, of several parts", inPlace, large, hows.slice(0, 1)],
  ["elsewhere", elsewhere, small, hows],
  ["elsewhere, of several parts", elsewhere, large, hows.slice(0, 1)],
] as const)("a failure %s", (_name, input, plain, ways) => {
  it("of any request leaves an object that can be read, and nothing that is not named", async () => {
    const requests = await requestsOf(input, plain);
    expect(requests.length).toBeGreaterThan(10);
    for (const fault of requests) {
      for (const how of ways) {
        await empty();
        const client = await prepare(plain);
        local.aws.fault({ ...fault, ...how });
        const outcome = await migrateObject(client, input).catch((error: EnvelopeError) => error);
        local.aws.clearFaults();
        await expectSound(outcome, plain, `${fault.skip}. ${fault.operation}, ${JSON.stringify(how)}`);
      }
    }
  });
});

/** Either the original or the new object can be read; what else is there has been named. */
async function expectSound(outcome: object, plain: Uint8Array, what: string) {
  const { keys, uploads } = await local.contents();
  const details = (outcome instanceof Error ? (outcome as EnvelopeError).details : outcome) ?? {};
  const named = JSON.stringify(details);
  const original = keys.includes("k") ? await readerOf(local).get({ Bucket, Key: "k" }) : undefined;
  if (original) expectBytes(await original.Body.transformToByteArray(), plain);
  const isReplaced = original !== undefined && original.legacy === undefined;
  const created = keys.includes("new") ? await local.client.get({ Bucket, Key: "new" }) : undefined;
  if (created) expectBytes(await created.Body.transformToByteArray(), plain);
  expect(original ?? created, what).toBeDefined();
  const own = [
    ...(original && !isReplaced ? [/^k$/, /^k\.instruction$/] : []),
    ...(isReplaced ? [/^k$/, /^k\.[0-9a-f]{48}\.envelope$/] : []),
    ...(created ? [/^new$/, /^new\.[0-9a-f]{48}\.envelope$/] : []),
  ];
  const others = keys.filter((key) => !own.some((pattern) => pattern.test(key)) && !named.includes(key));
  // The id of an upload whose first answer was lost is nobody's to know.
  const unknown = what.endsWith('CreateMultipartUpload, {"reset":"after"}') ? uploads : [];
  expect({ what, others, uploads, named }).toEqual({ what, others: [], uploads: unknown, named });
}

describe("the read is verified first", () => {
  const forged = async (shape: LegacyShape, plain: Uint8Array) => {
    const files = await writeLegacy(plain, shape);
    files.body.writeUInt8((files.body.at(-1) ?? 0) ^ 1, files.body.length - 1);
    await store(local, "k", files);
    return files;
  };

  it.each([
    ["before release", {}],
    ["at the end", { releaseUnverifiedPlaintext: true }],
  ])("%s: what does not verify is written nowhere", async (_when, options) => {
    for (const plain of [small, large]) {
      for (const input of [inPlace, elsewhere]) {
        const { body } = await forged(localShapes["115"], plain);
        expect(await errorOf(() => migrateObject(readerOf(local, options), input))).toEqual(
          coded("DECRYPTION_FAILED"),
        );
        expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
        expectBytes((await local.getRaw("k")).bytes, body);
      }
    }
  });

  it("as far as AES/CBC can be", async () => {
    await forged(localShapes.cbc, large);
    expect(await errorOf(() => migrateObject(readerOf(local, allowAll), inPlace))).toEqual(
      coded("DECRYPTION_FAILED"),
    );
    expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
  });

  it("tells an upload that could not be aborted", async () => {
    await forged(localShapes["115"], testBytes(3 * partBytes, 1));
    local.aws.fault({ operation: "AbortMultipartUpload", status: 403, code: "AccessDenied" });
    const client = readerOf(local, { releaseUnverifiedPlaintext: true });
    expect(await errorOf(() => migrateObject(client, inPlace))).toEqual(
      coded("DECRYPTION_FAILED", { orphanedUploadId: expect.any(String) }),
    );
  });
});

describe("what was written is read back", () => {
  it("and given up when the store has something else, even if it verifies", async () => {
    await local.client.put({ Bucket, Key: "other", Body: small.subarray(1) });
    for (const input of [inPlace, elsewhere]) {
      await store(local, "k", await writeLegacy(small, localShapes["115"]));
      local.s3.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const asked = args.input as { Key?: string; IfMatch?: string | undefined };
            if (commandName === "GetObjectCommand" && asked.Key !== "k") {
              [asked.Key, asked.IfMatch] = ["other", undefined];
            }
            return next(args);
          },
        { step: "initialize", name: "mixup" },
      );
      const error = await errorOf(() => migrateObject(readerOf(local), input));
      local.s3.middlewareStack.remove("mixup");
      expect(error).toEqual(coded("MIGRATION_UNCONFIRMED"));
      expect((await local.contents()).keys).toEqual(["k", "other"]);
      await expectOriginal(small);
    }
  });

  it("and given up when it was changed", async () => {
    for (const input of [inPlace, elsewhere]) {
      await store(local, "k", await writeLegacy(small, localShapes["115"]));
      local.aws.fault({ operation: "GetObject", skip: 1, corrupt: { offset: 200, xor: 1 } });
      expect(await errorOf(() => migrateObject(readerOf(local), input))).toEqual(coded("BODY_INTERRUPTED"));
      expect((await local.contents()).keys).toEqual(["k"]);
    }
  });
});

describe("a writer at the same time", () => {
  /** Lets another writer go first, before the nth request of an operation. */
  function writerBefore(commandName: string, skip: number, act: () => Promise<unknown>) {
    let left = skip;
    local.s3.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName === commandName && left-- === 0) await act();
        return next(args);
      },
      { step: "initialize", name: "writer" },
    );
    return { [Symbol.dispose]: () => local.s3.middlewareStack.remove("writer") };
  }
  const overwrite = () => local.s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "theirs" }));
  const expectTheirs = async (...others: string[]) => {
    expect((await local.contents()).keys).toEqual(["k", ...others]);
    expectBytes((await local.getRaw("k")).bytes, Buffer.from("theirs"));
  };

  it.each([
    ["before the read", "GetObjectCommand"],
    ["before it is written back", "CreateMultipartUploadCommand"],
    ["at the last moment", "CompleteMultipartUploadCommand"],
  ])("of the original is not lost: %s", async (_when, command) => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore(command, 0, overwrite);
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    await expectTheirs();
  });

  it("of the original is not deleted", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore("DeleteObjectCommand", 0, overwrite);
    expect(await errorOf(() => migrateObject(readerOf(local), elsewhere))).toEqual(
      coded("S3_PRECONDITION_FAILED", { targetBucket: Bucket, targetKey: "new" }),
    );
    await expectTheirs("new");
  });

  it("may have removed the original, which is then no failure", async () => {
    await prepare(small);
    using _writer = writerBefore("DeleteObjectCommand", 0, () => local.client.delete({ Bucket, Key: "k" }));
    await migrateObject(readerOf(local), elsewhere);
    expect((await local.contents()).keys).toEqual(["new"]);
  });

  it("does not lose the original by its deletion either", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    const remove = () => local.client.delete({ Bucket, Key: "k" });
    using _writer = writerBefore("CompleteMultipartUploadCommand", 0, remove);
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(coded("S3_NOT_FOUND"));
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });

  it("is noticed in a store that passes conditions over", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore("CreateMultipartUploadCommand", 0, overwrite);
    local.s3.middlewareStack.add(
      (next) => async (args) => {
        const { headers } = args.request as { headers: Record<string, string> };
        delete headers["if-match"];
        return next(args);
      },
      { step: "build", name: "unconditional" },
    );
    const error = await errorOf(() => migrateObject(readerOf(local), inPlace));
    local.s3.middlewareStack.remove("unconditional");
    expect(error).toEqual(coded("S3_PRECONDITION_FAILED", { operation: "HeadObject" }));
    await expectTheirs();
  });

  it("keeps an instruction file that is newer than what was read", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"], { storage: "instruction-file" }));
    const file = { Bucket, Key: "k.instruction", Body: "newer" };
    using _writer = writerBefore("DeleteObjectCommand", 0, () => local.s3.send(new PutObjectCommand(file)));
    expect(await migrateObject(readerOf(local), inPlace)).not.toHaveProperty("orphanedKeys");
    expectBytes((await local.getRaw("k.instruction")).bytes, Buffer.from("newer"));
  });

  it("of the target wins, and nothing of it is removed", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    const theirs = { Bucket, Key: "new", Body: "theirs" };
    using _writer = writerBefore("GetObjectCommand", 1, () => local.s3.send(new PutObjectCommand(theirs)));
    expect(await errorOf(() => migrateObject(readerOf(local), elsewhere))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    expectBytes((await local.getRaw("new")).bytes, Buffer.from("theirs"));
    await expectOriginal(small);
  });

  it("right after it was put in its place leaves the staged copy, which is named", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore("HeadObjectCommand", 4, overwrite);
    const error = await errorOf(() => migrateObject(readerOf(local), inPlace));
    expect(error).toEqual(
      coded("MIGRATION_UNCONFIRMED", {
        stagingKey: expect.stringMatching(/^k\.s3e-migrating-[0-9a-f]{24}$/),
      }),
    );
    const { stagingKey } = (error as EnvelopeError).details;
    await expectTheirs(stagingKey as string);
    const { Body } = await local.client.get({ Bucket, Key: stagingKey as string });
    expectBytes(await Body.transformToByteArray(), small);
  });
});

describe("what cannot be removed", () => {
  it("is named in the result", async () => {
    const client = await prepare(small);
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied", times: 2 });
    const output = await migrateObject(client, inPlace);
    expect(output).toMatchObject({
      migrated: true,
      orphanedKeys: [expect.stringMatching(/^k\.s3e-migrating-[0-9a-f]{24}$/), "k.instruction"],
    });
    const { keys } = await local.contents();
    expect(keys.slice(0, 2)).toEqual(["k", sidecarOf("k")]);
  });

  it("after a failure is named in the error", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    local.aws.fault({ operation: "GetObject", skip: 1, status: 403, code: "AccessDenied" });
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(
      coded("S3_ACCESS_DENIED", {
        operation: "GetObject",
        orphanedKeys: [expect.stringMatching(/^k\.s3e-migrating-[0-9a-f]{24}$/)],
      }),
    );
    await expectOriginal(small);
  });

  it("is not called that when the original itself stays", async () => {
    await prepare(small);
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => migrateObject(readerOf(local), elsewhere));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { targetBucket: Bucket, targetKey: "new" }));
    await expectOriginal(small);
  });
});

describe("a signal", () => {
  it("ends a migration at each of its requests, and nothing stays", async () => {
    for (const input of [inPlace, elsewhere]) {
      const requests = await requestsOf(input, large);
      const names = requests.map(({ operation }) => operation);
      const end =
        input === inPlace ? names.lastIndexOf("CompleteMultipartUpload") + 1 : names.indexOf("DeleteObject");
      for (const { operation, skip } of requests.slice(0, end)) {
        await empty();
        const client = await prepare(large);
        const controller = new AbortController();
        const reason = new Error("enough");
        let left = skip;
        local.s3.middlewareStack.add(
          (next, { commandName }) =>
            async (args) => {
              if (commandName === `${operation}Command` && left-- === 0) controller.abort(reason);
              return next(args);
            },
          { step: "initialize", name: "abort" },
        );
        const error = await errorOf(() =>
          migrateObject(client, input, { abortSignal: controller.signal }),
        ).finally(() => local.s3.middlewareStack.remove("abort"));
        expect(error).toBe(reason);
        // Of a write that is cut off in the middle the sidecar stays, as with `put`.
        const isCommit = operation === "CompleteMultipartUpload";
        const { keys } = await local.contents();
        const spare = isCommit ? keys.filter((key) => key.endsWith(".envelope")) : [];
        await expectSound(Object.assign(new Error(), { details: { spare } }), large, `${skip}. ${operation}`);
      }
    }
  });

  it("comes too late once the object is in its place", async () => {
    await prepare(small);
    const controller = new AbortController();
    using _writer = writerBefore("HeadObjectCommand", 5, async () => controller.abort());
    const client = readerOf(local);
    expect(await migrateObject(client, inPlace, { abortSignal: controller.signal })).toHaveProperty(
      "migrated",
      true,
    );
    expect(controller.signal.aborted).toBe(true);
    expect((await local.contents()).keys).toEqual(["k"]);
  });

  it("that was raised before sends nothing", async () => {
    const client = await prepare(small);
    local.operations();
    const abortSignal = AbortSignal.abort(new Error("before"));
    expect(await errorOf(() => migrateObject(client, inPlace, { abortSignal }))).toBe(abortSignal.reason);
    expect(local.operations()).toEqual([]);
  });
});

it("progress is told under the original's name, and what a listener throws ends it", async () => {
  const client = await prepare(large);
  const told: unknown[] = [];
  await migrateObject(client, inPlace, { onProgress: (progress) => told.push(progress) });
  expect(told.at(-1)).toMatchObject({ operation: "migrate", Bucket, Key: "k", bytes: large.length });
  await prepare(large);
  const reason = new Error("listener");
  const onProgress = () => {
    throw reason;
  };
  expect(await errorOf(() => migrateObject(client, inPlace, { onProgress }))).toBe(reason);
  await expectOriginal(large);
  const { Metadata } = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "k" }));
  expect(Metadata).toHaveProperty("x-amz-c");
});
