/** External text in messages and details. */
import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { wrongType } from "../../src/base/arguments.js";
import { firstNames, listed, printable, quoted } from "../../src/base/bytes.js";
import { withDetails } from "../../src/base/errors.js";
import { EnvelopeClient, EnvelopeError } from "../../src/index.js";
import { errorOf } from "../support/errors.js";
import { keyring } from "../support/local.js";

describe("printable", () => {
  it.each([
    ["a line break", "a\nb\r", "a\\nb\\r"],
    ["an escape sequence", "\u001b[31m", "\\u001b[31m"],
    ["one of 8 bits", "\u009b31m", "\\u009b31m"],
    ["null, DEL and NEL", "\0\u007f\u0085", "\\u0000\\u007f\\u0085"],
    ["separators of lines", "\u2028\u2029", "\\u2028\\u2029"],
    [
      "marks of direction",
      "\u200e\u200f\u202a\u202e\u2066\u2069\u061c",
      "\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069\\u061c",
    ],
    ["what has no width", "\u200b\ufeff\u00ad", "\\u200b\\ufeff\\u00ad"],
    ["tags", "\u{e0041}", "\\u{e0041}"],
    ["lone surrogates", "a\ud83d \ude00b", "a\\ud83d \\ude00b"],
  ])("escapes %s", (_, text, expected) => {
    expect(printable(text)).toBe(expected);
    expect(printable(expected)).toBe(expected);
  });

  it("does not change other text", () => {
    for (const text of ["", "folder/key (1).txt", "C:\\folder\\file", 'a "quoted" name', "文書/äöü/кл/😀"])
      expect(printable(text)).toBe(text);
  });

  it("shortens long text, never inside a surrogate pair, even if escapes make it longer", () => {
    expect(printable("x".repeat(256))).toHaveLength(256);
    expect(printable("x".repeat(257))).toBe(`${"x".repeat(253)}...`);
    expect(printable(`${"x".repeat(252)}${"😀".repeat(9)}`)).toBe(`${"x".repeat(252)}...`);
    expect(printable("\0".repeat(5_000_000)).length).toBeLessThanOrEqual(256);
    expect(printable("x".repeat(5000), 4096)).toHaveLength(4096);
  });

  it("keeps a whole S3 key in a message", () => {
    expect(quoted("k".repeat(1024))).toBe(`"${"k".repeat(1024)}"`);
    expect(quoted("k\n")).toBe('"k\\n"');
  });

  it("lists 20 names and the number of the others, and does not shorten its own result", () => {
    const names = Array.from({ length: 1350 }, (_, index) => `${index}`);
    expect(firstNames(names)).toEqual([...names.slice(0, 20), "and 1330 more"]);
    expect(firstNames(firstNames(names))).toEqual(firstNames(names));
    expect(firstNames(names.slice(0, 21))).toEqual(names.slice(0, 21));
    expect(listed(["a", "b"])).toBe("a, b");
  });
});

describe("an EnvelopeError", () => {
  const names = Array.from({ length: 100 }, (_, index) => `${index}\n`);
  const error = new EnvelopeError("S3_NOT_FOUND", `a\n${"x".repeat(5_000_000)}`, {
    details: { key: "k\u202e", size: 3, overwritten: true, requestId: undefined, names },
  });

  it("has a message and details of one line and limited length", () => {
    expect(error.message).toHaveLength(4096);
    expect(error.message).toMatch(/^a\\nx+\.\.\.$/);
    expect(error.details).toEqual({
      key: "k\\u202e",
      size: 3,
      overwritten: true,
      requestId: undefined,
      names: [...names.slice(0, 20).map((name) => name.replace("\n", "\\n")), "and 80 more"],
    });
    expect(Object.isFrozen(error.details.names)).toBe(true);
  });

  it("contains exact keys and paths in its details", () => {
    const path = `C:\\${"é".repeat(4000)}`;
    expect(new EnvelopeError("FILE_FAILED", "m", { details: { path } }).details.path).toBe(path);
  });

  it("keeps code, cause, stack and shortened lists when details are added", () => {
    const first = new EnvelopeError("S3_NOT_FOUND", "gone", { cause: 7, details: { names } });
    const copy = withDetails(first, { bucket: "b" }, "gone: $& for good");
    expect(copy).toMatchObject({ code: "S3_NOT_FOUND", cause: 7, message: "gone: $& for good" });
    expect(copy.details).toEqual({ ...first.details, bucket: "b" });
    expect(copy.stack).toBe(first.stack?.replace("gone", () => "gone: $& for good"));
    expect("cause" in withDetails(error, {})).toBe(false);
  });
});

it("the error for an entry of a context or of metadata shows its name in one line of limited length", async () => {
  const name = `a\n\u001b[2J\u202e${"x".repeat(5_000_000)}`;
  const client = new EnvelopeClient({ s3: new S3Client({ region: "us-east-1" }), keyring });
  const object = { Bucket: "b", Key: "k", Body: "" };
  for (const input of [{ encryptionContext: { [name]: 1 as never } }, { Metadata: { [name]: 1 as never } }]) {
    const error = await errorOf(() => client.put({ ...object, ...input }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(
      /^\w+\["a\\n\\u001b\[2J\\u202ex+\.\.\."\]: expected a string, got the number 1$/,
    );
    expect(error.message.length).toBeLessThan(1200);
  }
});

it("a TypeError for a wrong argument shows the class of a value in one line", () => {
  const Hostile = { "a\n\u001b[2J": class {} }["a\n\u001b[2J"];
  expect(wrongType("x", "a string", new Hostile()).message).toBe(
    "x: expected a string, got an instance of a\\n\\u001b[2J",
  );
});
