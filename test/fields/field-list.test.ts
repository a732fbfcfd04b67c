import { describe, expect, it } from "vitest";
import {
  beside,
  call,
  type Fields,
  fieldsArgument,
  lenient,
  only,
  statedFields,
} from "../../src/fields/field-list.js";
import { errorOf } from "../support/errors.js";

interface Input {
  readonly Key?: string;
  readonly Tagging?: string;
  readonly context?: unknown;
  readonly isWhole?: boolean;
}
interface Options {
  readonly abortSignal?: unknown;
  readonly limit?: number;
}

const client = call("new Client", { options: only("store", "retries") });
const lists = call(
  "send",
  {
    input: beside(["Key", "Tagging", "Part"], { Part: "parts are ours: leave it out" }, "context", "isWhole"),
    options: only("abortSignal", "limit"),
  },
  client.options,
);
const input = (value: unknown) => fieldsArgument<Input>(lists.input, value);
const options = (value: unknown) => fieldsArgument<Options>(lists.options, value);
const messageOf = async (act: () => unknown) => {
  const error = await errorOf(act);
  expect(error).toBeInstanceOf(TypeError);
  return error.message;
};

describe("fieldsArgument", () => {
  it("returns a snapshot without a prototype in which each known name is an own property", () => {
    const given = input({ Key: "a", context: 1 });
    expect(Object.getPrototypeOf(given)).toBeNull();
    expect({ ...given }).toStrictEqual({
      Key: "a",
      Tagging: undefined,
      Part: undefined,
      context: 1,
      isWhole: undefined,
    });
  });

  it("omits fields that were not given in statedFields", () => {
    const stated = statedFields<Input>(lists.input, { Key: "a", context: undefined });
    expect(Object.getPrototypeOf(stated)).toBeNull();
    expect(Object.keys(stated)).toEqual(["Key", "context"]);
  });

  it("reads each field once and in order, including accessors, and ignores symbols and fields that are not enumerable", () => {
    const reads: string[] = [];
    const bag = {
      get context() {
        reads.push("context");
        return reads.length;
      },
      get Key() {
        reads.push("Key");
        return "a";
      },
      [Symbol("unknown")]: 1,
    };
    Object.defineProperty(bag, "colour", { value: "red", enumerable: false });
    const given = input(bag);
    expect([given.context, given.Key, given.context]).toEqual([1, "a", 1]);
    expect(reads).toEqual(["context", "Key"]);
  });

  it.each(["context", "isWhole", "Key", "Part", "colour"])(
    "ignores Object.prototype.%s, even after spreading the result",
    (name) => {
      const prototype = Object.prototype as unknown as Record<string, unknown>;
      try {
        prototype[name] = "polluted";
        const { context = "none", ...rest } = input({ Key: "a" });
        const { isWhole = false } = rest;
        const again = { ...rest } as Record<string, unknown>;
        expect([context, isWhole, again.Key, again.Part]).toEqual(["none", false, "a", undefined]);
        expect(options({}).limit).toBeUndefined();
      } finally {
        delete prototype[name];
      }
    },
  );

  it("accepts undefined fields, including refused ones", () => {
    expect(input({ Key: undefined, Part: undefined }).Key).toBeUndefined();
  });

  it.each([null, undefined, 1, "text", [], new Map(), new (class Params {})(), Object.create({ Key: "a" })])(
    "refuses a value that is not a plain object: %#",
    async (value) => {
      expect(await messageOf(() => input(value))).toMatch(/^input: expected (an|a plain) object, got /);
    },
  );

  it("accepts a plain object without a prototype or of another realm", async () => {
    const { runInNewContext } = await import("node:vm");
    expect(input(Object.assign(Object.create(null), { Key: "a" })).Key).toBe("a");
    expect(input(runInNewContext('({ Key: "a" })')).Key).toBe("a");
  });
});

describe("an unknown name", () => {
  it.each([
    [{ colour: 1 }, "colour: send has no such field; it has Key, Tagging, context, isWhole"],
    [{ colour: undefined }, "colour: send has no such field; it has Key, Tagging, context, isWhole"],
    [{ Context: 1 }, "Context: send has no such field, did you mean context?"],
    [{ con_text: 1 }, "con_text: send has no such field, did you mean context?"],
    [{ "con-text": 1 }, "con-text: send has no such field, did you mean context?"],
    [{ tagging: 1 }, "tagging: send has no such field, did you mean Tagging?"],
    [{ Tagginng: 1 }, "Tagginng: send has no such field, did you mean Tagging?"],
    [{ Part: 1 }, "Part: parts are ours: leave it out"],
    [{ abortSignal: 1 }, "abortSignal: it belongs in the options of send"],
    [
      { AbortSignal: 1 },
      "AbortSignal: send has no such field, did you mean abortSignal in the options of send?",
    ],
    [{ signal: 1 }, "signal: send has no such field, did you mean abortSignal in the options of send?"],
    [{ store: 1 }, "store: it belongs in the options of new Client"],
    [
      { "new\nline\u202e": 1 },
      'input["new\\nline\\u202e"]: send has no such field; it has Key, Tagging, context, isWhole',
    ],
    [
      JSON.parse('{ "__proto__": 1 }'),
      "__proto__: send has no such field; it has Key, Tagging, context, isWhole",
    ],
  ])("in an input is refused: %j", async (bag, message) => {
    expect(await messageOf(() => input(bag))).toBe(message);
  });

  it.each([
    [{ Limit: 1 }, "options.Limit: send has no such option, did you mean limit?"],
    [{ signal: 1 }, "options.signal: send has no such option, did you mean abortSignal?"],
    [{ Key: 1 }, "options.Key: it belongs in the input of send"],
    [{ Newer: 1 }, "options.Newer: send has no such option; it has abortSignal, limit"],
    [
      { Retries: 1 },
      "options.Retries: send has no such option, did you mean retries in the options of new Client?",
    ],
  ])("among options is refused: %j", async (bag, message) => {
    expect(await messageOf(() => options(bag))).toBe(message);
  });

  it("is shortened in the message if it is long", async () => {
    expect((await messageOf(() => input({ ["a".repeat(1e6)]: 1 }))).length).toBeLessThan(200);
  });

  it("is accepted if it may belong to a newer release of the SDK", () => {
    expect((input({ Newer: 1 }) as Record<string, unknown>).Newer).toBe(1);
  });

  it("is accepted by a lenient list unless it resembles a known name", async () => {
    const { options: names } = call("plug", { options: lenient(only("keepAlive", "limit")) });
    const plug = (bag: object) => fieldsArgument<{ keepAlive?: boolean; limit?: number }>(names, bag);
    expect((plug({ newer: 1 }) as Record<string, unknown>).newer).toBe(1);
    expect(await messageOf(() => plug({ keepalive: true }))).toBe(
      "options.keepalive: plug has no such option, did you mean keepAlive?",
    );
  });
});

it("a list that lacks a name of the argument, or has another name, does not compile", () => {
  const check = () => {
    const less = call("send", { options: only("abortSignal") }).options;
    const more = call("send", { options: only("abortSignal", "limit", "colour") }).options;
    // @ts-expect-error limit is not in the list
    fieldsArgument<Options>(less, {});
    // @ts-expect-error colour is not in the type
    fieldsArgument<Options>(more, {});
    const given: Fields<Options> = fieldsArgument<Options>(lists.options, {});
    // @ts-expect-error a name that is in neither cannot be read
    return given.colour;
  };
  expect(check).toBeTypeOf("function");
});
