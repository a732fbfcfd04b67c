/** Every client reads or refuses the objects of every client, as the matrix states. */
import { beforeAll, describe, expect } from "vitest";
import { testBytes } from "../support/bytes.js";
import { writings } from "./matrix.js";
import { readings } from "./readings.js";
import { usePeers } from "./use-peers.js";

const { has, testWith, write, read, stored } = usePeers();
const body = testBytes(17, 17);
/** Their servers take no other key. */
const kmsOnly = ["python-v4", "go-v3"];

describe.each(writings)("$name", (writing) => {
  const object = `matrix ${writing.name}`;
  beforeAll(() => (has(writing.writer) ? write(writing, object, body) : undefined));

  const able = readings.filter(({ reader }) => writing.key === "kms" || !kmsOnly.includes(reader));
  for (const reading of able) {
    testWith(writing.writer, reading.reader)(reading.name, async () => {
      const got = read(reading, writing, object);
      if (reading.reads(writing)) expect(await got).toEqual(body);
      else if (reading.passesOn?.(writing)) expect(await got).toEqual((await stored(object)).body);
      else
        await expect(got).rejects.toMatchObject({
          kind: "S3EncryptionClientError",
          ...said(reading.says?.(writing)),
        });
    });
  }
});

function said(message: string | undefined): { message?: string } {
  return message === undefined ? {} : { message };
}
