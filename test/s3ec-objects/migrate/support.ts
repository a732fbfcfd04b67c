/** Objects to migrate, and checks of the objects after a migration. */
import { expect } from "vitest";
import type { EnvelopeError } from "../../../src/index.js";
import { type MigrateInput, migrateObject } from "../../../src/legacy.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { allowAll, localShapes, writeLegacy } from "../../support/legacy-objects.js";
import { Bucket, type Local, partBytes } from "../../support/local.js";
import { readerOf, store } from "../support.js";

export const small = testBytes(50_000, 3);
export const large = testBytes(partBytes + 50_000, 4);
export const inPlace = { Bucket, Key: "k" };
export const elsewhere = { ...inPlace, target: { Key: "new" }, deleteOriginal: true };

/** Empties the bucket. */
export async function empty(local: Local): Promise<void> {
  await local.removeAll();
  local.operations();
}

/** An object with an instruction file, and a client that keeps envelopes in sidecars: the case with the most requests. */
export async function prepare(local: Local, plain: Uint8Array) {
  await store(local, "k", await writeLegacy(plain, localShapes["115"], { storage: "instruction-file" }));
  return readerOf(local, {}, { envelopeStorage: "sidecar" });
}

export async function expectOriginal(local: Local, plain: Uint8Array) {
  const { Body, legacy } = await readerOf(local, allowAll).get({ Bucket, Key: "k" });
  expect(legacy).toBeDefined();
  expectBytes(await Body.transformToByteArray(), plain);
}

export const sidecarOf = (key: string) =>
  expect.stringMatching(new RegExp(`^${key}\\.[0-9a-f]{48}\\.envelope$`));

/** The requests of a migration, each named by its operation and the number of earlier requests of that operation. */
export async function requestsOf(local: Local, input: MigrateInput, plain: Uint8Array) {
  const client = await prepare(local, plain);
  await migrateObject(client, input);
  const seen = new Map<string, number>();
  return local.operations().map((operation) => {
    const skip = seen.get(operation) ?? 0;
    seen.set(operation, skip + 1);
    return { operation, skip };
  });
}

/** The key of the object of a sidecar: errors name the object only. */
const ownerOf = (key: string) => key.replace(/\.[0-9a-f]{48}\.envelope$/, "");

/** Expects that the original or the new object can be read, and that all other objects have been named. */
export async function expectSound(local: Local, outcome: object, plain: Uint8Array, what: string) {
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
  const others = keys.filter(
    (key) =>
      !own.some((pattern) => pattern.test(key)) && !named.includes(ownerOf(key)) && !named.includes(key),
  );
  // Nobody can know the id of an upload whose first response was lost.
  const unknown = what.endsWith('CreateMultipartUpload, {"reset":"after"}') ? uploads : [];
  expect({ what, others, uploads, named }).toEqual({ what, others: [], uploads: unknown, named });
}

/** Lets another writer act before the nth request of an operation. */
export function writerBefore(local: Local, commandName: string, skip: number, act: () => Promise<unknown>) {
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
