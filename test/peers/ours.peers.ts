/** This library among Amazon's clients: it reads what all of them write, and all of them read what it writes. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import {
  contextOf,
  newKeys,
  type Reading,
  readerConfig,
  readings,
  type Writing,
  writerConfig,
  writings,
} from "./matrix.js";
import { type ClientConfig, ProtocolClient } from "./protocol.js";

const ours = "s3-envelope";
const { bucket, kmsKeyId } = inject("world");
const keys = newKeys(kmsKeyId);
const clients = new Map<string, ProtocolClient>();
for (const { name, port } of inject("peers")) {
  if (port !== undefined) clients.set(name, new ProtocolClient(port));
}
afterAll(() => {
  for (const client of clients.values()) client.close();
});

function clientOf(name: string): ProtocolClient {
  const client = clients.get(name);
  if (!client) throw new Error(`${name} is not there`);
  return client;
}

/** Tests of peers that could not be had are skipped, not left out. */
const testWith = (...names: string[]) => test.runIf(names.every((name) => clients.has(name)));
const kmsOnly = ["python-v4", "go-v3"];

describe.each(writings)("$name", (writing) => {
  const body = testBytes(17, 17);
  const object = `ours ${writing.name}`;
  beforeAll(async () => {
    if (!clients.has(writing.writer)) return;
    const from = clientOf(writing.writer);
    const id = await from.createClient(writerConfig(writing, keys));
    await from.put(id, bucket, object, body, contextOf(writing));
  });

  const others = readings.filter(
    ({ reader }) =>
      (reader === ours || writing.writer === ours) && (writing.key === "kms" || !kmsOnly.includes(reader)),
  );
  for (const reading of others) {
    testWith(writing.writer, reading.reader)(reading.name, async () => {
      const to = clientOf(reading.reader);
      const id = await to.createClient(readerConfig(reading, writing, keys));
      const got = to.get(id, bucket, object, { context: contextOf(writing, reading) });
      if (reading.reads(writing)) expect(await got).toEqual(body);
      else if (reading.passesOn?.(writing)) expect((await got).length).toBe(body.length + 16);
      else await expect(got).rejects.toMatchObject({ kind: "S3EncryptionClientError" });
    });
  }
});

/** A client that reads or writes as the matrix says. */
async function clientFor(name: string, config: ClientConfig) {
  const peer = clientOf(name);
  return { peer, id: await peer.createClient(config) };
}

function writingNamed(name: string): Writing {
  const found = writings.find((one) => one.name === name);
  if (!found) throw new Error(`no writing is named ${name}`);
  return found;
}

function readingNamed(name: string): Reading {
  const found = readings.find((one) => one.name === name);
  if (!found) throw new Error(`no reading is named ${name}`);
  return found;
}

const reader = "s3-envelope-legacy";
const mib = 1024 * 1024;

describe("sizes", () => {
  const rows = [
    ["java-v4-v3-kms-metadata", reader],
    ["java-v4-v3-rsa2048-instruction", reader],
    ["java-v3-v2-aes256-metadata", reader],
    ["java-sdk1-v1-cbc-kms-metadata", reader],
    ["java-sdk1-v1-gcm-aes256-instruction", reader],
    ["java-sdk1-v2-rsa2048-metadata", reader],
    ["python-v4-v3-kms-metadata", reader],
    ["go-v3-v2-kms-metadata", reader],
    ["s3-envelope-v3-kms-metadata", "java-v4-default"],
    ["s3-envelope-v3-rsa2048-instruction", "java-v4-default"],
    ["s3-envelope-v2-aes256-metadata", "java-v3-default"],
    ["s3-envelope-v2-kms-instruction", "java-sdk1-v2-strict"],
    ["s3-envelope-v3-kms-metadata", "go-v3-default"],
    ["s3-envelope-v3-kms-metadata", reader],
  ] as const;
  for (const [from, to] of rows) {
    const [writing, reading] = [writingNamed(from), readingNamed(to)];
    testWith(writing.writer, reading.reader).each([0, 1, 15, 16, 17, mib, 40 * mib])(
      `${from} to ${to}: %i bytes`,
      async (size) => {
        const body = testBytes(size, size);
        const object = `${from} ${to} ${size}`;
        const writer = await clientFor(writing.writer, writerConfig(writing, keys));
        await writer.peer.put(writer.id, bucket, object, body, contextOf(writing));
        const { peer, id } = await clientFor(reading.reader, readerConfig(reading, writing, keys));
        const got = await peer.get(id, bucket, object, { context: contextOf(writing, reading) });
        expect(body.equals(got), `${got.length} bytes`).toBe(true);
      },
    );
  }
});

describe("what Python reads: contexts in ASCII", () => {
  const rows = writings.filter(({ writer, key }) => writer === ours && key === "kms");
  testWith("python-v4").each(rows)("$name", async (writing) => {
    const reading = readingNamed("python-v4-legacy");
    const context = { tenant: "42", 'q"uote': "back\\slash <&> ~" };
    const object = `ascii ${writing.name}`;
    const body = testBytes(300, 3);
    const writer = await clientFor(ours, writerConfig(writing, keys));
    await writer.peer.put(writer.id, bucket, object, body, context);
    const { peer, id } = await clientFor("python-v4", readerConfig(reading, writing, keys));
    expect(await peer.get(id, bucket, object, { context })).toEqual(body);
  });
});

describe("contexts of all characters", () => {
  const rows = writings.filter(({ writer, key }) => writer === ours && key === "kms");
  const others = ["java-v4-legacy", "java-v3-legacy", "java-sdk1-v2", "go-v3-legacy", reader];
  const context = { clé: "värde", 名前: "Ωμέγα 🙂", "a<b>": "\u2028 ÿ" };
  for (const writing of rows) {
    for (const reading of others.map(readingNamed).filter((one) => one.reads(writing))) {
      testWith(reading.reader)(`${writing.name} to ${reading.name}`, async () => {
        const object = `all ${writing.name} ${reading.name}`;
        const body = testBytes(300, 4);
        const writer = await clientFor(ours, writerConfig(writing, keys));
        await writer.peer.put(writer.id, bucket, object, body, context);
        const { peer, id } = await clientFor(reading.reader, readerConfig(reading, writing, keys));
        expect(await peer.get(id, bucket, object, { context })).toEqual(body);
      });
    }
  }
});

describe("ranges", () => {
  const body = testBytes(1000, 1);
  const rows = [
    ["java-v4-v3-kms-metadata", reader],
    ["java-v4-v2-aes256-instruction", reader],
    ["java-sdk1-v1-cbc-kms-metadata", reader],
    ["python-v4-v3-kms-metadata", reader],
    ["go-v3-v2-kms-metadata", reader],
    ["s3-envelope-v3-kms-metadata", "java-v4-legacy"],
    ["s3-envelope-v2-rsa2048-instruction", "java-v4-legacy"],
  ] as const;
  for (const [from, to] of rows) {
    const [writing, reading] = [writingNamed(from), readingNamed(to)];
    testWith(writing.writer, reading.reader)(`${from} to ${to}`, async () => {
      const object = `range ${from} ${to}`;
      const writer = await clientFor(writing.writer, writerConfig(writing, keys));
      await writer.peer.put(writer.id, bucket, object, body, contextOf(writing));
      const { peer, id } = await clientFor(reading.reader, readerConfig(reading, writing, keys));
      const spans = [
        ["bytes=0-0", 0, 1],
        ["bytes=0-15", 0, 16],
        ["bytes=10-100", 10, 101],
        ["bytes=16-31", 16, 32],
        ["bytes=40-", 40, 1000],
        ["bytes=995-4000", 995, 1000],
        ["bytes=0-999", 0, 1000],
      ] as const;
      for (const [range, start, end] of spans) {
        const got = await peer.get(id, bucket, object, { context: contextOf(writing, reading), range });
        expect(got, range).toEqual(body.subarray(start, end));
      }
    });
  }
});

describe("instruction files that one wrote and another wraps anew", () => {
  const next = newKeys(kmsKeyId);
  const rows = [
    ["java-v4-v3-aes256-instruction", ours, "java-v4"],
    ["java-v4-v2-rsa2048-instruction", ours, "java-v4"],
    ["s3-envelope-v3-aes256-instruction", "java-v4", ours],
    ["s3-envelope-v2-rsa2048-instruction", "java-v4", ours],
  ] as const;
  for (const [from, rotator, to] of rows) {
    const writing = writingNamed(from);
    testWith(writing.writer, rotator, to).each([undefined, "instruction-next"])(
      `${from} by ${rotator}, suffix %s`,
      async (suffix) => {
        const object = `anew ${from} ${suffix}`;
        const body = testBytes(100, 100);
        const writer = await clientFor(writing.writer, writerConfig(writing, keys));
        await writer.peer.put(writer.id, bucket, object, body);
        const keyMaterial = { ...next.rsa2048, materialsDescription: { turn: "2" } };
        const { peer, id } = await clientFor(rotator, writerConfig(writing, keys));
        await peer.reencrypt(id, bucket, object, {
          keyMaterial,
          enforceRotation: true,
          ...(suffix === undefined ? {} : { instructionFileSuffix: suffix }),
        });
        const options = suffix === undefined ? {} : { instructionFileSuffix: `.${suffix}` };
        for (const name of [to, rotator]) {
          const last = await clientFor(name, { ...writing.settings, keyMaterial });
          expect(await last.peer.get(last.id, bucket, object, options)).toEqual(body);
        }
      },
    );
  }
});

describe("the words of the public suite", () => {
  const wrapText = "Enable legacy wrapping algorithms to use legacy key wrapping algorithm:";
  const contextText = "Provided encryption context does not match information retrieved from S3";
  const rows = [
    ["rows 3 and 4", "s3-envelope-v3-kms-metadata", {}, contextText],
    ["row 7", "java-sdk1-v1-gcm-kms-metadata", {}, `${wrapText} kms`],
    [
      "row 18",
      "java-sdk1-v1-cbc-rsa2048-metadata",
      { enableLegacyUnauthenticatedModes: true },
      `${wrapText} RSA`,
    ],
  ] as const;
  for (const [row, from, settings, message] of rows) {
    const writing = writingNamed(from);
    testWith(writing.writer)(row, async () => {
      const object = `words ${from}`;
      const writer = await clientFor(writing.writer, writerConfig(writing, keys));
      await writer.peer.put(writer.id, bucket, object, testBytes(17, 17), contextOf(writing));
      const { keyMaterial } = writerConfig(writing, keys);
      const config = { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT", keyMaterial, ...settings } as const;
      const { peer, id } = await clientFor(ours, config);
      for (const context of row === "row 7" ? [contextOf(writing)] : [{}, { tenant: "43" }]) {
        const got = peer.get(id, bucket, object, { context });
        await expect(got).rejects.toMatchObject({ kind: "S3EncryptionClientError", message });
      }
    });
  }
});
