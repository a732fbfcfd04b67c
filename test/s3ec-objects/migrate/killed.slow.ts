import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import type { EnvelopeError } from "../../../src/index.js";
import { type MigrateInput, migrateObject } from "../../../src/legacy.js";
import { expectBytes } from "../../support/bytes.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { elsewhere, empty, expectSound, inPlace, prepare, requestsOf, small } from "./support.js";

const local = useLocalAws();
beforeEach(() => empty(local));

/** Ends the process at a request, which is sent or not, and before any later request. */
function killedAt(request: number, isSent: boolean) {
  let count = 0;
  local.s3.middlewareStack.add(
    (next) => async (args) => {
      const index = count++;
      if (index < request) return next(args);
      if (index === request && isSent) await next(args);
      throw new Error("killed");
    },
    { step: "initialize", name: "killed" },
  );
  return { [Symbol.dispose]: () => local.s3.middlewareStack.remove("killed") };
}

/** There may be spare objects, but one object can be read. */
async function expectReadable(what: string) {
  const { keys, uploads } = await local.contents();
  await local.client.abortUploads({ Bucket, initiatedBefore: new Date(Date.now() + 60_000) });
  await expectSound(local, { keys, uploads }, small, what);
  return keys;
}

/** The second run. If the first run has written the target, the caller states that it may be overwritten. */
async function again(client: Parameters<typeof migrateObject>[0], input: MigrateInput) {
  try {
    return (await migrateObject(client, input)).migrated;
  } catch (error) {
    const { code } = error as EnvelopeError;
    if (code === "S3_NOT_FOUND") return code;
    expect(code).toBe("S3_PRECONDITION_FAILED");
    const { ETag: IfMatch } = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "new" }));
    return (await migrateObject(client, { ...input, target: { ...input.target, IfMatch } })).migrated;
  }
}

describe.each([
  ["in its place", inPlace, "k", [true, false]],
  ["elsewhere", elsewhere, "new", [true, "S3_NOT_FOUND"]],
] as const)("a process that is killed while it migrates an object %s", (_name, input, Key, outcomes) => {
  it.each([false, true])("leaves one to read, and the next ends it: request sent %j", async (isSent) => {
    const { length } = await requestsOf(local, input, small);
    const seen = new Set<unknown>();
    for (let request = 0; request < length; request++) {
      await empty(local);
      const client = await prepare(local, small);
      {
        using _killed = killedAt(request, isSent);
        await migrateObject(client, input).catch(() => undefined);
      }
      await expectReadable(`killed at ${request}`);
      seen.add(await again(client, input));
      expect(await expectReadable(`again after ${request}`)).toContain(Key);
      const { Body } = await local.client.get({ Bucket, Key });
      expectBytes(await Body.transformToByteArray(), small);
    }
    expect([...seen]).toEqual(outcomes);
  });
});
