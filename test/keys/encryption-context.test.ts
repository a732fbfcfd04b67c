import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wrappingContext } from "../../src/envelope/envelope.js";
import {
  canonicalContext,
  contextArgument,
  contextBytes,
  contextPairs,
  wrappingContextArgument,
} from "../../src/keys/encryption-context.js";

describe("canonicalContext", () => {
  it("encodes the number of pairs, then lengths and bytes in the order of the UTF-8 bytes of the names", () => {
    expect(canonicalContext({ b: "2", a: "1" }).toString("hex")).toBe(
      "0002" + "000161" + "000131" + "000162" + "000132",
    );
    expect(canonicalContext({}).toString("hex")).toBe("0000");
    expect(canonicalContext({ k: "" }).toString("hex")).toBe("0001" + "00016b" + "0000");
  });

  it("sorts names by UTF-8 bytes, not by locale or UTF-16 code unit", () => {
    // U+FF5E is below U+1F600 in UTF-8 and above its surrogates in UTF-16; "Z" is below "a"; "é" is above "z".
    const context = { "\u{1f600}": "4", "\uff5e": "3", é: "2", z: "1", a: "0", Z: "-" };
    expect(contextPairs(context).map(([name]) => name)).toEqual(["Z", "a", "z", "é", "\uff5e", "\u{1f600}"]);
  });

  it("keeps names that look like numbers in byte order", () => {
    expect(canonicalContext({ "2": "b", "10": "a" }).toString("hex")).toBe(
      "0002" + "00023130" + "000161" + "000132" + "000162",
    );
  });

  it("differs for any two different contexts", () => {
    const contexts = fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), fc.string({ maxLength: 5 }), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(contexts, contexts, (left, right) => {
        const same =
          Object.keys(left).length === Object.keys(right).length &&
          Object.entries(left).every(([name, value]) => Object.hasOwn(right, name) && right[name] === value);
        expect(canonicalContext(left).equals(canonicalContext(right))).toBe(same);
        expect(contextBytes(left)).toBe(canonicalContext(left).length);
      }),
    );
  });
});

describe("contextArgument", () => {
  it("returns a snapshot of the context", () => {
    const given: Record<string, string> = { tenant: "42" };
    const context = contextArgument("encryptionContext", given);
    given.tenant = "43";
    expect(context).toEqual({ tenant: "42" });
    expect(Object.isFrozen(context)).toBe(true);
  });

  it("accepts plain objects of another realm and without a prototype", () => {
    const bare = Object.assign(Object.create(null), { a: "1" });
    for (const given of [bare, runInNewContext('({ a: "1" })')]) {
      expect(contextArgument("encryptionContext", given)).toEqual({ a: "1" });
    }
  });

  it.each([
    ["null", null, "encryptionContext: expected an object, got null"],
    ["an array", [], "encryptionContext: expected an object, got an instance of Array"],
    ["a Map", new Map([["a", "1"]]), "encryptionContext: expected a plain object, got an instance of Map"],
    [
      "an object that inherits its entries",
      Object.create({ a: "1" }),
      "encryptionContext: expected a plain object, got an instance of Object",
    ],
    ["a string", "x", "encryptionContext: expected an object, got a string"],
    ["a number as value", { a: 1 }, 'encryptionContext["a"]: expected a string, got the number 1'],
  ])("refuses %s with a TypeError", (_, value, message) => {
    expect(() => contextArgument("encryptionContext", value)).toThrow(new TypeError(message));
  });

  it.each([
    ["an empty name", { "": "x" }, 'encryptionContext[""]: expected a non-empty name'],
    [
      "a reserved name",
      { "s3-envelope:x": "x" },
      'encryptionContext["s3-envelope:x"]: names that start with "s3-envelope" are reserved',
    ],
    [
      "a prototype name",
      JSON.parse('{"__proto__":"x"}'),
      'encryptionContext["__proto__"]: this name cannot be used',
    ],
    [
      "a lone surrogate",
      { a: "secret\ud800" },
      'encryptionContext["a"]: expected well-formed Unicode, got a lone surrogate',
    ],
    [
      "a lone surrogate in a name",
      { "\udc00": "x" },
      'encryptionContext["\\udc00"]: expected well-formed Unicode, got a lone surrogate',
    ],
    ["too much", { a: "x".repeat(8153) }, "encryptionContext: expected at most 8159 bytes in all, got 8160"],
  ])("refuses %s with a RangeError that shows no value", (_, value, message) => {
    expect(() => contextArgument("encryptionContext", value)).toThrow(new RangeError(message));
  });

  it("accepts the largest context", () => {
    const context = contextArgument("c", { a: "x".repeat(8152) });
    expect(contextBytes(context)).toBe(8159);
    // Together with the entry of this package that is what KMS takes.
    const wrapping = wrappingContext(context);
    expect(contextBytes(wrapping)).toBe(8192);
    expect(wrappingContextArgument("c", wrapping)).toEqual(wrapping);
    expect(() => wrappingContextArgument("c", { ...wrapping, b: "" })).toThrow("at most 8192 bytes");
  });
});
