import { expect, it } from "vitest";
import type { GetOutput } from "../../../src/index.js";
import { isArchive, newFields, stagingFields } from "../../../src/s3ec-objects/migrate/fields.js";
import type { MigrateRequest } from "../../../src/s3ec-objects/migrate/input.js";

const request = (target: object = {}) =>
  ({
    original: { Bucket: "b", Key: "k", RequestPayer: "requester", ExpectedBucketOwner: "1" },
    destination: { Bucket: "b", Key: "new", ...target },
  }) as unknown as MigrateRequest;
const later = new Date(Date.now() + 1e9);
const output = (given: Partial<GetOutput>) => given as GetOutput;
const locked = {
  ObjectLockMode: "GOVERNANCE",
  ObjectLockRetainUntilDate: later,
  ObjectLockLegalHoldStatus: "ON",
} as const;

it("object lock is carried over, except for a retention that has ended and for staged objects", () => {
  const fields = newFields(request(), output(locked), undefined);
  expect(fields).toMatchObject(locked);
  const over = newFields(request(), output({ ...locked, ObjectLockRetainUntilDate: new Date(0) }), undefined);
  expect(over).not.toHaveProperty("ObjectLockMode");
  expect(over.ObjectLockLegalHoldStatus).toBe("ON");
  const passing = stagingFields({ ...fields, StorageClass: "GLACIER", Tagging: "a=b" });
  expect(Object.values(passing)).not.toContain("GOVERNANCE");
  expect(passing).toMatchObject({
    StorageClass: undefined,
    ObjectLockLegalHoldStatus: undefined,
    Tagging: "a=b",
  });
});

it("RequestPayer and ExpectedBucketOwner are carried over within one bucket only", () => {
  expect(newFields(request(), output({}), undefined)).toMatchObject({ ExpectedBucketOwner: "1" });
  expect(newFields(request({ Bucket: "c" }), output({}), undefined)).not.toHaveProperty(
    "ExpectedBucketOwner",
  );
});

it("the proven encryption context is carried over unless another is stated", () => {
  const proved = output({ encryptionContext: { a: "b" } });
  expect(newFields(request(), proved, undefined).encryptionContext).toEqual({ a: "b" });
  const stated = request({ encryptionContext: {} });
  expect(newFields(stated, proved, undefined).encryptionContext).toEqual({});
});

it("stating one field of encryption by S3 replaces all of them", () => {
  const own = output({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: "id", BucketKeyEnabled: true });
  expect(newFields(request(), own, undefined)).toMatchObject({
    SSEKMSKeyId: "id",
    BucketKeyEnabled: true,
  });
  const other = newFields(request({ SSECustomerAlgorithm: "AES256" }), own, undefined);
  expect(other.SSEKMSKeyId ?? other.ServerSideEncryption ?? other.BucketKeyEnabled).toBeUndefined();
});

it("archive storage classes are recognized", () => {
  expect(["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", undefined].map((one) => isArchive(one as never))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
