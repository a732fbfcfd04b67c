import { readdirSync, readFileSync } from "node:fs";
import { S3Client } from "@aws-sdk/client-s3";
import { expect, it } from "vitest";
import { aesKeyring, EnvelopeClient, EnvelopeError, type ErrorCode, errorCodes } from "../../src/index.js";
import { s3Error } from "../../src/s3/errors.js";

const named = (name: string, message: string) => Object.assign(new Error(message), { name });
/** What the SDK throws for a response. */
const responseError = (name: string, httpStatusCode: number, headers = {}) =>
  Object.assign(named(name, "refused"), {
    $fault: "client",
    $metadata: { httpStatusCode },
    $response: { headers },
  });

const text = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
const sections = new Map(
  text
    .split(/^#{2,3} /m)
    .slice(1)
    .map((section) => section.split(/\n(.*)/s).slice(0, 2) as [string, string]),
);

it("docs/errors.md explains every code in the order of errorCodes", () => {
  expect([...sections.keys()].filter((title) => /^[A-Z0-9_]+$/.test(title))).toEqual([...errorCodes]);
});

it("docs/errors.md names only details that errors have", () => {
  const folder = new URL("../../src/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const source = files.map((file) => readFileSync(new URL(file, folder), "utf8")).join("\n");
  const details = [...text.matchAll(/`details\.(\w+)`/g)].map(([, name = ""]) => name);
  expect(details).toContain("bucket");
  for (const name of details) expect(source, name).toMatch(new RegExp(`\\b${name}\\b\\??[:,} ]`));
});

it("docs/errors.md has a remedy for each message about Region, credentials and clock", () => {
  const rows = (sections.get("Region, credentials, clock") ?? "")
    .split("\n")
    .filter((row) => /^\| [^|-]/.test(row));
  const codes = rows.slice(1).map((row) => [...row.matchAll(/`(S3_[A-Z_]+)`/g)][0]?.[1]);
  const cases: [object, ErrorCode, RegExp, object][] = [
    [new Error("Region is missing"), "S3_REQUEST_FAILED", /no Region is configured/, {}],
    [
      responseError("PermanentRedirect", 301, { "x-amz-bucket-region": "eu-west-1" }),
      "S3_REQUEST_FAILED",
      /in Region eu-west-1/,
      { bucketRegion: "eu-west-1" },
    ],
    [
      named("CredentialsProviderError", "Could not load credentials from any providers"),
      "S3_ACCESS_DENIED",
      /no credentials were found/,
      {},
    ],
    [
      named("CredentialsProviderError", "The SSO session has expired"),
      "S3_ACCESS_DENIED",
      /could not be loaded/,
      {},
    ],
    [
      responseError("ExpiredToken", 400),
      "S3_ACCESS_DENIED",
      /credentials of the S3 client were refused/,
      { serviceError: "ExpiredToken" },
    ],
    [
      responseError("RequestTimeTooSkewed", 403, { date: new Date(Date.now() - 3_600_000).toUTCString() }),
      "S3_ACCESS_DENIED",
      /is 60 minutes ahead of that of S3/,
      {},
    ],
  ];
  expect(codes).toEqual(cases.map(([, code]) => code));
  for (const [cause, code, message, details] of cases) {
    const error = s3Error(cause, { operation: "GetObject", bucket: "b", key: "k" });
    expect(error).toMatchObject({ code, retryable: false, cause, details });
    expect(error.message).toMatch(message);
  }
});

it.each([...errorCodes])("docs/errors.md says whether to retry after %s and what to do", (code) => {
  const section = sections.get(code) ?? "";
  expect(section).toMatch(new EnvelopeError(code, "").retryable ? /^\nRetry: yes\.\n/ : /^\nRetry: no\.\n/);
  expect(section).toMatch(/\n\*\*What to do:\*\* \S/);
});

it("every error code is asserted by a test", () => {
  const folder = new URL("../", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /\.(test|slow)\.ts$/.test(file),
  );
  const tests = files.map((file) => readFileSync(new URL(file, folder), "utf8")).join("\n");
  for (const code of errorCodes) expect(tests.includes(`"${code}"`), code).toBe(true);
});

it("an EnvelopeError keeps its cause, and its details are frozen", () => {
  const cause = new Error("first");
  const error = new EnvelopeError("S3_UNAVAILABLE", "message", { cause, details: { bucket: "b" } });
  expect(error).toMatchObject({
    name: "EnvelopeError",
    code: "S3_UNAVAILABLE",
    retryable: true,
    cause,
    message: "message",
  });
  expect(Object.isFrozen(error.details)).toBe(true);
  expect("cause" in new EnvelopeError("S3_UNAVAILABLE", "message")).toBe(false);
});

it("an EnvelopeError refuses a code that is not in errorCodes", () => {
  expect(() => new EnvelopeError("NOPE" as never, "message")).toThrow(
    new RangeError("code: expected one of errorCodes"),
  );
});

it("docs/errors.md shows the messages for unknown and misplaced fields", async () => {
  const keyring = aesKeyring({ keyId: "k", wrappingKey: new Uint8Array(32) });
  const client = new EnvelopeClient({ s3: new S3Client({ region: "eu-central-1" }), keyring });
  const object = { Bucket: "bucket", Key: "key", Body: "" };
  const calls: (() => Promise<unknown>)[] = [
    () => client.put({ ...object, EncryptionContext: {} } as never),
    () => client.put({ ...object, ifNoneMatch: "*" } as never),
    () => client.get({ Bucket: "bucket", Key: "key" }, { signal: undefined } as never),
    () => client.put({ ...object, abortSignal: undefined } as never),
  ];
  const messages = await Promise.all(
    calls.map((call) =>
      call().then(
        () => "no error",
        (error: Error) => error.message,
      ),
    ),
  );
  const shown = [...(sections.get("Unknown fields") ?? "").matchAll(/^ {4}(.*)$/gm)].map(([, line]) => line);
  expect(messages).toEqual(shown);
});
