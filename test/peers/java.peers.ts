/** The Java peers among themselves, beyond the matrix: sizes, ranges, and instruction files written anew. */
import { describe, expect } from "vitest";
import { testBytes } from "../support/bytes.js";
import { newKeys, writerConfig } from "./matrix.js";
import { readingNamed, sizes, usePeers, writingNamed } from "./use-peers.js";

const { keys, kmsKeyId, clientIn, testWith, write, read } = usePeers();

describe("sizes", () => {
  const pairs = [
    ["java-v4-v3-kms-metadata", "java-v4-default"],
    ["java-v4-v2-rsa2048-instruction", "java-v3-default"],
    ["java-v3-v2-kms-metadata", "java-sdk1-v2-strict"],
    ["java-sdk1-v1-cbc-aes256-instruction", "java-v4-legacy"],
    ["java-sdk1-v1-gcm-kms-metadata", "java-v3-legacy"],
    ["java-sdk1-v2-aes256-metadata", "java-v4-legacy"],
  ] as const;
  for (const [from, to] of pairs) {
    const [writing, reading] = [writingNamed(from), readingNamed(to)];
    testWith(writing.writer, reading.reader).each(sizes)(`${from} to ${to}: %i bytes`, async (size) => {
      const body = testBytes(size, size);
      const object = `java ${from} ${size}`;
      await write(writing, object, body);
      expect((await read(reading, writing, object)).equals(body)).toBe(true);
    });
  }
});

describe("ranges of version 4", () => {
  const names = ["java-v4-v3-kms-metadata", "java-v4-v2-aes256-instruction", "java-sdk1-v1-cbc-kms-metadata"];
  const body = testBytes(1000, 1);
  const reading = readingNamed("java-v4-legacy");
  for (const writing of names.map(writingNamed)) {
    testWith(writing.writer, reading.reader).each([
      ["bytes=0-15", 0, 16],
      ["bytes=10-100", 10, 101],
      ["bytes=40-", 40, 1000],
      ["bytes=995-4000", 995, 1000],
    ] as const)(`${writing.name}: %s`, async (range, start, end) => {
      const object = `java range ${writing.name}`;
      await write(writing, object, body);
      expect(await read(reading, writing, object, { range })).toEqual(body.subarray(start, end));
    });
  }
});

describe("instruction files written anew", () => {
  const next = newKeys(kmsKeyId);
  for (const version of ["java-v4", "java-v3"]) {
    const writing = writingNamed(`${version}-v2-aes256-instruction`);
    testWith(version).each([undefined, "instruction-next"])(`${version}: suffix %s`, async (suffix) => {
      const object = `java anew ${writing.name} ${suffix}`;
      const body = testBytes(100, 100);
      await write(writing, object, body);
      const keyMaterial = { ...next.rsa2048, materialsDescription: { turn: "2" } };
      const rotator = await clientIn(version, writerConfig(writing, keys));
      await rotator.reencrypt(object, {
        keyMaterial,
        enforceRotation: true,
        ...(suffix === undefined ? {} : { instructionFileSuffix: suffix }),
      });
      const reader = await clientIn(version, { ...writing.settings, keyMaterial });
      const options = suffix === undefined ? {} : { instructionFileSuffix: `.${suffix}` };
      expect(await reader.get(object, options)).toEqual(body);
    });
  }
});
