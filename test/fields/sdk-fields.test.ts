import { describe, expect, expectTypeOf, it } from "vitest";
import { fieldNames } from "../../src/fields/field-names.js";
import { legacyFieldNames } from "../../src/fields/legacy-field-names.js";
import { sdkFields } from "../../src/fields/sdk-fields.js";
import type { DeleteInput, PutInput } from "../../src/index.js";
import type { LegacyPutInput } from "../../src/legacy.js";

type OwnName<T> = Exclude<keyof T, Capitalize<string>>;
const isOwn = (name: string) => /^[a-z]/.test(name);

describe("sdkFields", () => {
  it("keeps the fields of the SDK, those of newer releases included, and drops the package's own", () => {
    const input = {
      Bucket: "b",
      envelopeStorage: "sidecar",
      Key: undefined,
      NewSdkField: 1,
      newOption: true,
    };
    const fields = sdkFields(input);
    expect(fields).toEqual({ Bucket: "b", Key: undefined, NewSdkField: 1 });
    expectTypeOf(fields).toEqualTypeOf<{ Bucket: string; Key: undefined; NewSdkField: number }>();
    // @ts-expect-error: an own option is no field of the SDK
    expect(fields.newOption).toBeUndefined();
  });
});

describe("options of this package in an input", () => {
  it("are listed separately for put, put of LegacyWriter, and delete", () => {
    expectTypeOf<OwnName<PutInput>>().toEqualTypeOf<"encryptionContext" | "envelopeStorage">();
    expectTypeOf<OwnName<LegacyPutInput>>().toEqualTypeOf<"encryptionContext">();
    expectTypeOf<OwnName<DeleteInput>>().toEqualTypeOf<"envelopeStorage">();
    const ownOf = ({ accepted }: { readonly accepted: readonly string[] }) => accepted.filter(isOwn).sort();
    expect(ownOf(fieldNames.put.input)).toEqual(["encryptionContext", "envelopeStorage"]);
    expect(ownOf(legacyFieldNames.put.input)).toEqual(["encryptionContext"]);
    expect(ownOf(fieldNames.delete.input)).toEqual(["envelopeStorage"]);
  });
});
