import { describe, expect, it } from "vitest";
import { nearestName, sameName } from "../../src/fields/spelling.js";
import { requestsOfSdk } from "../support/sdk-requests.js";

describe("nearestName", () => {
  it.each([
    ["EncryptionContext", "encryptionContext"],
    ["encryption_context", "encryptionContext"],
    ["encryption-context", "encryptionContext"],
    ["encryptionContxt", "encryptionContext"],
    ["encryptinoContext", "encryptionContext"],
    ["encriptionkontext", "encryptionContext"],
    ["ifNoneMatch", "IfNoneMatch"],
    ["IfNonMatch", "IfNoneMatch"],
    ["key", "Key"],
    ["Kye", "Key"],
    ["Rnage", "Range"],
    ["range", "Range"],
    ["signal", "abortSignal"],
    ["s3Client", "s3"],
    ["kms_key_id", "keyId"],
  ])("of %s is %s", (name, expected) => {
    const known = ["abortSignal", "s3", "keyId", "Key", "Range", "IfNoneMatch", "encryptionContext"];
    expect(nearestName(name, known)).toBe(expected);
  });

  it("is the nearest of several names", () => {
    expect(nearestName("GrantReadAC", ["GrantRead", "GrantReadACP"])).toBe("GrantReadACP");
  });

  it.each([
    ["ContentHash", ["ContentType"]],
    ["encryptionKonteksts", ["encryptionContext"]],
    ["URL", ["ACL"]],
    ["s4", ["s3"]],
    ["ETag", ["Key"]],
    ["Rangers", ["Range"]],
    ["ChecksumSHA3", ["ChecksumSHA1"]],
    ["ChecksumXXHASH64", ["ChecksumXXHASH3"]],
    ["a".repeat(65), ["a".repeat(65).toUpperCase()]],
  ])("of %s is not in %j", (name, known) => {
    expect(nearestName(name, known)).toBeUndefined();
  });

  it("finds the same name in another case, with other separators, or from another library", () => {
    const known = ["abortSignal", "onProgress"];
    expect(sameName("AbortSignal", known)).toBe("abortSignal");
    expect(sameName("on_progress", known)).toBe("onProgress");
    expect(sameName("signal", known)).toBe("abortSignal");
    expect(sameName("onProgres", known)).toBeUndefined();
    expect(sameName("signal", ["onProgress"])).toBeUndefined();
  });
});

describe("a field that a request of S3 may gain", () => {
  const requests = requestsOfSdk();
  const all = [...new Set([...requests.values()].flat())];
  it.each(["PutObjectRequest", "GetObjectRequest", "HeadObjectRequest", "DeleteObjectRequest"])(
    "is not mistaken for a field of %s, whichever other request has it now",
    (request) => {
      const known = requests.get(request) ?? [];
      expect(known).toContain("Bucket");
      expect(all.length).toBeGreaterThan(150);
      const mistaken = all.filter((name) => !known.includes(name) && nearestName(name, known) !== undefined);
      expect(mistaken).toEqual([]);
    },
  );

  it("was not mistaken for a field of the oldest supported release", () => {
    // The fields that PutObject has gained since 3.1000.0; the other requests that are used here have gained none.
    const gained = [
      "ChecksumMD5",
      "ChecksumSHA512",
      "ChecksumXXHASH128",
      "ChecksumXXHASH3",
      "ChecksumXXHASH64",
      "ObjectLockEventHold",
      "ObjectLockEventHoldDurationDays",
      "ObjectLockEventHoldDurationYears",
    ];
    const before = (requests.get("PutObjectRequest") ?? []).filter((name) => !gained.includes(name));
    expect(before).toHaveLength(41);
    for (const name of gained) expect([name, nearestName(name, before)]).toEqual([name, undefined]);
  });
});
