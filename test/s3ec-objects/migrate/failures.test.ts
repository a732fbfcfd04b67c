import { HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import type { EnvelopeError } from "../../../src/index.js";
import { migrateObject } from "../../../src/legacy.js";
import { coded, errorOf } from "../../support/errors.js";
import { localShapes, writeLegacy } from "../../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { everyNth } from "../../support/tier.js";
import { readerOf, store } from "../support.js";
import {
  elsewhere,
  empty,
  expectOriginal,
  expectSound,
  inPlace,
  large,
  prepare,
  requestsOf,
  sidecarOf,
  small,
  writerBefore,
} from "./support.js";

const local = useLocalAws();
beforeEach(() => empty(local));

const everywhere = /./;
const ofParts = /Multipart|UploadPart/;
const failures = [{ status: 503 }, { status: 403, code: "AccessDenied" }, { reset: "after" }] as const;

describe.each([
  ["in its place", inPlace, small, everywhere],
  ["in its place, of several parts", inPlace, large, ofParts],
  ["elsewhere", elsewhere, small, everywhere],
  ["elsewhere, of several parts", elsewhere, large, ofParts],
] as const)("failures during a migration %s", (_name, input, plain, operations) => {
  it.each(failures.map((how, index) => [how, index] as const))(
    "a failure of any request of a migration leaves a readable object and names all others: %j",
    async (how, index) => {
      const requests = await requestsOf(local, input, plain);
      expect(requests.length).toBeGreaterThan(10);
      const struck = requests.filter(({ operation }) => operations.test(operation));
      for (const fault of everyNth(struck, failures.length, index)) {
        await empty(local);
        const client = await prepare(local, plain);
        local.aws.fault({ ...fault, ...how });
        const outcome = await migrateObject(client, input).catch((error: EnvelopeError) => error);
        local.aws.clearFaults();
        await expectSound(local, outcome, plain, `${fault.skip}. ${fault.operation}, ${JSON.stringify(how)}`);
      }
    },
  );
});

describe("objects that cannot be removed after a migration", () => {
  it("objects that cannot be removed after a migration are named in the result", async () => {
    const client = await prepare(local, small);
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied", times: 2 });
    const output = await migrateObject(client, inPlace);
    expect(output).toMatchObject({
      migrated: true,
      orphanedKeys: [expect.stringMatching(/^k\.s3e-migrating-[0-9a-f-]{36}$/), "k.instruction"],
    });
    const { keys } = await local.contents();
    expect(keys.slice(0, 2)).toEqual(["k", sidecarOf("k")]);
  });

  it("objects that cannot be removed after a failed migration are named in the error", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    local.aws.fault({ operation: "GetObject", skip: 1, status: 403, code: "AccessDenied" });
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(
      coded("S3_ACCESS_DENIED", {
        operation: "GetObject",
        orphanedKeys: [expect.stringMatching(/^k\.s3e-migrating-[0-9a-f-]{36}$/)],
      }),
    );
    await expectOriginal(local, small);
  });

  it("an original that cannot be removed is not named as an orphaned object", async () => {
    await prepare(local, small);
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => migrateObject(readerOf(local), elsewhere));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { targetBucket: Bucket, targetKey: "new" }));
    await expectOriginal(local, small);
  });
});

describe("lost responses during a migration", () => {
  it("lost responses to the staging write and to its look-up leave nothing behind", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    local.aws.fault({ operation: "PutObject", reset: "after" });
    local.aws.fault({ operation: "HeadObject", skip: 2, status: 503 });
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(
      coded("S3_UNAVAILABLE", { operation: "PutObject" }),
    );
    expect((await local.contents()).keys).toEqual(["k"]);
    await expectOriginal(local, small);
  });

  it.each([inPlace, elsewhere])(
    "a migration succeeds when the SDK retries after a lost response: %j",
    async (input) => {
      const requests = await requestsOf(local, input, small);
      const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
      for (const fault of requests.filter(({ operation }) => /Put|Delete|Complete/.test(operation))) {
        await empty(local);
        await prepare(local, small);
        local.aws.fault({ ...fault, reset: "after" });
        const client = readerOf(local, {}, { envelopeStorage: "sidecar", s3 });
        const output = await migrateObject(client, input);
        expect(output).toHaveProperty("migrated", true);
        expect(output).not.toHaveProperty("orphanedKeys");
        const key = input === inPlace ? "k" : "new";
        expect(await local.contents()).toEqual({ keys: [key, sidecarOf(key)], uploads: [] });
      }
      s3.destroy();
    },
  );

  it("a response that breaks off while the original is read is reported as a failure of reading", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 1000 });
    const client = readerOf(local, {}, { idleTimeoutMs: 100 });
    expect(await errorOf(() => migrateObject(client, inPlace))).toEqual(coded("BODY_STALLED"));
    expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
  });
});

describe("aborting a migration", () => {
  it.each([
    ["in its place", inPlace, small, everywhere],
    ["in its place, of several parts", inPlace, large, ofParts],
    ["elsewhere", elsewhere, small, everywhere],
  ] as const)("ends a migration %s at each request", async (_name, input, plain, operations) => {
    const requests = await requestsOf(local, input, plain);
    const names = requests.map(({ operation }) => operation);
    const end =
      input === inPlace ? names.lastIndexOf("CompleteMultipartUpload") + 1 : names.indexOf("DeleteObject");
    for (const { operation, skip } of requests
      .slice(0, end)
      .filter((one) => operations.test(one.operation))) {
      await empty(local);
      const client = await prepare(local, plain);
      const controller = new AbortController();
      const reason = new Error("enough");
      const migrated = async () => {
        using _writer = writerBefore(local, `${operation}Command`, skip, async () =>
          controller.abort(reason),
        );
        return await migrateObject(client, input, { abortSignal: controller.signal });
      };
      expect(await errorOf(migrated)).toBe(reason);
      // An aborted write may leave its sidecar, as `put` does.
      const isCommit = /PutObject|CompleteMultipartUpload/.test(operation);
      const { keys } = await local.contents();
      const spare = isCommit ? keys.filter((key) => key.endsWith(".envelope")) : [];
      const outcome = Object.assign(new Error(), { details: { spare } });
      await expectSound(local, outcome, plain, `${skip}. ${operation}`);
    }
  });

  it("an abort after the new object is in place does not fail the migration", async () => {
    await prepare(local, small);
    const controller = new AbortController();
    using _writer = writerBefore(local, "HeadObjectCommand", 5, async () => controller.abort());
    const client = readerOf(local);
    expect(await migrateObject(client, inPlace, { abortSignal: controller.signal })).toHaveProperty(
      "migrated",
      true,
    );
    expect(controller.signal.aborted).toBe(true);
    expect((await local.contents()).keys).toEqual(["k"]);
  });

  it("a migration whose signal has already been aborted sends no request", async () => {
    const client = await prepare(local, small);
    local.operations();
    const abortSignal = AbortSignal.abort(new Error("before"));
    expect(await errorOf(() => migrateObject(client, inPlace, { abortSignal }))).toBe(abortSignal.reason);
    expect(local.operations()).toEqual([]);
  });
});

it("progress is reported under the original's key, and an error of the listener ends the migration", async () => {
  const client = await prepare(local, large);
  const told: unknown[] = [];
  await migrateObject(client, inPlace, { onProgress: (progress) => told.push(progress) });
  expect(told.at(-1)).toMatchObject({ operation: "migrate", Bucket, Key: "k", bytes: large.length });
  await prepare(local, large);
  const reason = new Error("listener");
  const onProgress = () => {
    throw reason;
  };
  expect(await errorOf(() => migrateObject(client, inPlace, { onProgress }))).toBe(reason);
  await expectOriginal(local, large);
  const { Metadata } = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "k" }));
  expect(Metadata).toHaveProperty("x-amz-c");
});
