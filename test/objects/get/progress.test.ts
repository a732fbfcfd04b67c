import { beforeAll, describe, expect, it } from "vitest";
import { collectUntilError, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const plain = (size: number) => testBytes(size, size);

beforeAll(async () => {
  for (const size of [0, 1, 100_000]) {
    await local.client.put({ Bucket, Key: `size-${size}`, Body: plain(size) });
  }
  local.operations();
});

describe("onProgress of get", () => {
  it("reports returned and total bytes, and the end", async () => {
    const told: unknown[] = [];
    let heard = 0;
    const onProgress = (progress: { readonly bytes: number }) => {
      told.push(progress);
      expect(progress.bytes).toBeGreaterThanOrEqual(heard);
      heard = progress.bytes;
    };
    for (const [Range, totalBytes] of [
      [undefined, 100_000],
      ["bytes=5-50004", 50_000],
    ] as const) {
      heard = 0;
      const input = { Bucket, Key: "size-100000", Range };
      const { Body } = await local.client.get(input, { onProgress });
      expect(told.at(-1)).not.toMatchObject({ bytes: 0 });
      await Body.transformToByteArray();
      expect(told.at(-1)).toMatchObject({
        operation: "get",
        Bucket,
        Key: "size-100000",
        bytes: totalBytes,
        totalBytes,
        parts: 1,
        totalParts: 1,
        secondsLeft: 0,
      });
    }
  });

  it("reports the end of an empty object and of one that is not encrypted", async () => {
    await local.putRaw("plain", plain(100));
    for (const [Key, bytes] of [
      ["size-0", 0],
      ["plain", 100],
    ] as const) {
      const told: { bytes: number }[] = [];
      const onProgress = (progress: { bytes: number }) => void told.push(progress);
      const { Body } = await local.client.get({ Bucket, Key, unencrypted: "allow" }, { onProgress });
      await Body.transformToByteArray();
      expect(told.at(-1)).toMatchObject({ bytes, totalBytes: bytes, parts: 1 });
    }
  });

  it("reports no end when the body was destroyed or has failed", async () => {
    const told: { parts: number }[] = [];
    const onProgress = (progress: { parts: number }) => void told.push(progress);
    const left = await local.client.get({ Bucket, Key: "size-100000" }, { onProgress });
    for await (const _ of left.Body) break;
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 50_000 });
    const failed = await local.client.get({ Bucket, Key: "size-100000" }, { onProgress });
    expect((await collectUntilError(failed.Body)).error).toEqual(coded("BODY_INTERRUPTED"));
    expect(told.every(({ parts }) => parts === 0)).toBe(true);
  });

  it("destroys the body with the error that a listener throws", async () => {
    const reason = new Error("listener");
    const onProgress = () => {
      throw reason;
    };
    for (const Key of ["size-100000", "size-0"]) {
      const { Body } = await local.client.get({ Bucket, Key }, { onProgress });
      expect((await collectUntilError(Body)).error).toBe(reason);
    }
  });

  it("refuses a listener that is not a function", async () => {
    const error = await errorOf(() =>
      local.client.get({ Bucket, Key: "size-1" }, { onProgress: 1 as never }),
    );
    expect(error).toEqual(new TypeError("options.onProgress: expected a function, got the number 1"));
    expect(local.operations()).toEqual([]);
  });
});
