import { describe, expect, it } from "vitest";
import { choose, decodeOaep, decodePkcs1, isEqual } from "../../../src/keys/rsa/decode.js";

describe("choices without a branch", () => {
  it("isEqual distinguishes every byte from every other", () => {
    for (let left = 0; left < 256; left++) {
      for (let right = 0; right < 256; right++) {
        if (isEqual(left, right) !== (left === right ? -1 : 0)) throw new Error(`${left} and ${right}`);
      }
    }
    expect(isEqual(2 ** 31 - 1, 2 ** 31 - 1)).toBe(-1);
    expect(isEqual(2 ** 31 - 1, 0)).toBe(0);
  });

  it("choose returns one of two numbers", () => {
    expect([choose(-1, 5, 250), choose(0, 5, 250)]).toEqual([5, 250]);
  });
});

describe("messages that are not valid", () => {
  it.each<[string, () => ReturnType<typeof decodePkcs1>]>([
    ["PKCS#1", () => decodePkcs1(Buffer.alloc(128, 9), [16, 24, 32])],
    ["OAEP", () => decodeOaep(Buffer.alloc(128, 9), { label: "sha1", mask: "sha1" }, [16, 24, 32])],
    ["OAEP that is too short", () => decodeOaep(Buffer.alloc(50), { label: "sha1", mask: "sha1" }, [32])],
    ["PKCS#1 that is too short", () => decodePkcs1(Buffer.alloc(16), [32])],
  ])("an invalid message has no length and no bytes: %s", (_, decode) => {
    expect(decode()).toEqual({ isValid: 0, length: 0, bytes: Buffer.alloc(32) });
  });
});
