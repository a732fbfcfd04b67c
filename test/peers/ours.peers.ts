/** This library among Amazon's clients, beyond the matrix: sizes, ranges, new wraps, and the words of the public suite. */
import { describe, expect } from "vitest";
import { testBytes } from "../support/bytes.js";
import { cbc, contextOf, contexts, newKeys, writerConfig, writings } from "./matrix.js";
import { readingNamed, sizes, usePeers, writingNamed } from "./use-peers.js";

const ours = "s3-envelope";
const { keys, kmsKeyId, clientIn, testWith, write, read, stored } = usePeers();
const reader = readingNamed("s3-envelope-legacy");
const legacyFlags = { enableLegacyUnauthenticatedModes: true, enableLegacyWrappingAlgorithms: true };

describe("sizes", () => {
  const rows = [
    ["java-v4-v3-kms-metadata", reader.name],
    ["java-v4-v3-rsa2048-instruction", reader.name],
    ["java-v3-v2-aes256-metadata", reader.name],
    ["java-sdk1-v1-cbc-kms-metadata", reader.name],
    ["java-sdk1-v1-gcm-aes256-instruction", "s3-envelope-unverified"],
    ["java-sdk1-v2-rsa2048-metadata", reader.name],
    ["python-v4-v3-kms-metadata", reader.name],
    ["go-v3-v2-kms-metadata", reader.name],
    ["s3-envelope-v3-kms-metadata", "java-v4-default"],
    ["s3-envelope-v3-rsa2048-instruction", "java-v4-default"],
    ["s3-envelope-v2-aes256-metadata", "java-v3-default"],
    ["s3-envelope-v2-kms-instruction", "java-sdk1-v2-strict"],
    ["s3-envelope-v3-kms-metadata", "go-v3-default"],
    ["s3-envelope-v3-kms-instruction", "python-v4-legacy"],
    ["s3-envelope-v3-kms-metadata", reader.name],
  ] as const;
  for (const [from, to] of rows) {
    const [writing, reading] = [writingNamed(from), readingNamed(to)];
    testWith(writing.writer, reading.reader).each(sizes)(`${from} to ${to}: %i bytes`, async (size) => {
      const body = testBytes(size, size);
      const object = `ours ${from} ${to} ${size}`;
      const context = writing.key === "kms" ? contexts.ascii : {};
      await write(writing, object, body, context);
      const got = await read(reading, writing, object, { context });
      expect(body.equals(got), `${got.length} bytes`).toBe(true);
      const isLarge = writing.writer === ours && size > 32 * 1024 * 1024;
      if (isLarge) expect((await stored(object)).tag, "came in parts").toMatch(/-\d+"$/);
    });
  }
});

describe("what Python reads: contexts in ASCII", () => {
  const rows = writings.filter(({ writer, key }) => writer === ours && key === "kms");
  testWith("python-v4").each(rows)("$name", async (writing) => {
    const context = { tenant: "42", 'q"uote': "back\\slash <&> ~" };
    const object = `ours ascii ${writing.name}`;
    const body = testBytes(300, 3);
    await write(writing, object, body, context);
    expect(await read(readingNamed("python-v4-legacy"), writing, object, { context })).toEqual(body);
  });
});

describe("ranges", () => {
  const body = testBytes(1000, 1);
  const spans = [
    ["bytes=0-0", 0, 1],
    ["bytes=0-15", 0, 16],
    ["bytes=10-100", 10, 101],
    ["bytes=16-31", 16, 32],
    ["bytes=40-", 40, 1000],
    ["bytes=995-4000", 995, 1000],
    ["bytes=0-999", 0, 1000],
  ] as const;
  for (const writing of writings) {
    const others = writing.writer === ours ? [readingNamed("java-v4-legacy")] : [];
    for (const reading of [reader, ...others]) {
      testWith(writing.writer, reading.reader)(`${writing.name} to ${reading.name}`, async () => {
        const object = `ours range ${writing.name}`;
        await write(writing, object, body);
        for (const [range, start, end] of spans) {
          expect(await read(reading, writing, object, { range }), range).toEqual(body.subarray(start, end));
        }
      });
    }
  }
});

describe("instruction files that one wrote and another wraps anew", () => {
  const next = newKeys(kmsKeyId);
  const rows = [
    ["java-v4-v3-aes256-instruction", "s3-envelope-v3-aes256-instruction", "java-v4-default"],
    ["java-v4-v2-rsa2048-instruction", "s3-envelope-v2-rsa2048-instruction", "java-v4-legacy"],
    ["java-v3-v2-aes256-instruction", "s3-envelope-v2-aes256-instruction", "java-v3-default"],
    ["java-sdk1-v2-aes256-instruction", "s3-envelope-v2-aes256-instruction", "java-sdk1-v2-strict"],
    ["java-sdk1-v1-cbc-aes256-instruction", "s3-envelope-v2-aes256-instruction", "java-sdk1-v2"],
    ["s3-envelope-v3-aes256-instruction", "java-v4-v3-aes256-instruction", reader.name],
    ["s3-envelope-v2-rsa2048-instruction", "java-v4-v2-rsa2048-instruction", reader.name],
    ["s3-envelope-v2-aes256-instruction", "java-v3-v2-aes256-instruction", reader.name],
    ["s3-envelope-v3-rsa2048-instruction", "s3-envelope-v3-rsa2048-instruction", "java-v4-default"],
  ] as const;
  const turns = [
    ["rsa2048", undefined],
    ["rsa2048", "instruction-next"],
    ["aes256", undefined],
  ] as const;
  for (const [from, by, to] of rows) {
    const [writing, rotator, other] = [writingNamed(from), writingNamed(by), readingNamed(to)];
    testWith(writing.writer, rotator.writer, other.reader).each(turns)(
      `${from} by ${rotator.writer}, to %s, suffix %s`,
      async (key, instructionFileSuffix) => {
        const object = `ours anew ${from} ${by} ${key} ${instructionFileSuffix}`;
        const body = testBytes(100, 100);
        await write(writing, object, body);
        const { keyMaterial } = writerConfig(writing, keys);
        const flags = writing.content === cbc ? legacyFlags : {};
        const client = await clientIn(rotator.writer, { ...rotator.settings, ...flags, keyMaterial });
        const nextMaterial = { ...next[key], materialsDescription: { turn: "2" } };
        const named = instructionFileSuffix === undefined ? {} : { instructionFileSuffix };
        await client.reencrypt(object, { keyMaterial: nextMaterial, enforceRotation: true, ...named });

        for (const { reader: peer, settings } of [reader, other]) {
          const withNext = await clientIn(peer, { ...settings, keyMaterial: nextMaterial });
          const asNamed =
            instructionFileSuffix === undefined ? {} : { instructionFileSuffix: `.${instructionFileSuffix}` };
          expect(await withNext.get(object, asNamed), peer).toEqual(body);
          const withOld = (await clientIn(peer, { ...settings, keyMaterial })).get(object);
          if (instructionFileSuffix !== undefined) expect(await withOld, peer).toEqual(body);
          else await expect(withOld, peer).rejects.toMatchObject({ kind: "S3EncryptionClientError" });
        }
      },
    );
  }
});

describe("AES/CBC, wrapped anew: the clients do not agree what the wrap binds", () => {
  const next = newKeys(kmsKeyId);
  const writing = writingNamed("java-sdk1-v1-cbc-aes256-instruction");
  // Versions 3 and 4 bind the name of AES/GCM, which the object itself does not have.
  const bindGcm = ["java-v3", "java-v4"];
  for (const by of ["java-v3-v2", "java-v4-v2", "s3-envelope-v2"]) {
    const rotator = writingNamed(`${by}-aes256-instruction`);
    const all = "s3-envelope-cbc-rewrapped";
    for (const to of ["java-v3-legacy", "java-v4-legacy", "java-sdk1-v2", reader.name, all]) {
      const other = readingNamed(to);
      const agree = to === all || bindGcm.includes(rotator.writer) === bindGcm.includes(other.reader);
      testWith(writing.writer, rotator.writer, other.reader).each(["aes256", "rsa2048"] as const)(
        `by ${rotator.writer} to ${to}, to %s`,
        async (key) => {
          const object = `ours cbc ${by} ${to} ${key}`;
          const body = testBytes(100, 100);
          await write(writing, object, body);
          const { keyMaterial } = writerConfig(writing, keys);
          const client = await clientIn(rotator.writer, {
            ...rotator.settings,
            ...legacyFlags,
            keyMaterial,
          });
          const nextMaterial = { ...next[key], materialsDescription: { turn: "2" } };
          await client.reencrypt(object, { keyMaterial: nextMaterial });
          const got = (await clientIn(other.reader, { ...other.settings, keyMaterial: nextMaterial })).get(
            object,
          );
          if (agree) expect(await got).toEqual(body);
          else await expect(got).rejects.toMatchObject({ kind: "S3EncryptionClientError" });
        },
      );
    }
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
      const object = `ours words ${from}`;
      await write(writing, object, testBytes(17, 17));
      const { keyMaterial } = writerConfig(writing, keys);
      const config = { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT", keyMaterial, ...settings } as const;
      const client = await clientIn(ours, config);
      for (const context of row === "row 7" ? [contextOf(writing)] : [{}, { tenant: "43" }]) {
        const got = client.get(object, { context });
        await expect(got).rejects.toMatchObject({ kind: "S3EncryptionClientError", message });
      }
    });
  }
});
