import { describe, expect, it } from "vitest";
import { joinMetadata, userMetadataArgument, withoutEnvelope } from "../../src/envelope/user-metadata.js";
import { coded, errorOf } from "../support/errors.js";

describe("userMetadataArgument", () => {
  it("returns a snapshot of metadata that S3 keeps unchanged", () => {
    const given: Record<string, string> = { Author: "me", "x-y_z.1": "", long: "a  b" };
    const metadata = userMetadataArgument(given);
    given.Author = "you";
    expect(metadata).toEqual({ Author: "me", "x-y_z.1": "", long: "a  b" });
    expect(userMetadataArgument(undefined)).toEqual({});
  });

  it.each([
    [null, "Metadata: expected an object, got null"],
    [new Map([["a", "1"]]), "Metadata: expected a plain object, got an instance of Map"],
    [{ a: 1 }, 'Metadata["a"]: expected a string, got the number 1'],
    [{ "a b": "x" }, 'Metadata["a b"]: expected a name that is an HTTP token'],
    [{ "": "x" }, 'Metadata[""]: expected a name that is an HTTP token'],
    [{ "s3e-salt": "x" }, 'Metadata["s3e-salt"]: names that start with "s3e-" are reserved for the envelope'],
    [
      { "S3E-Other": "x" },
      'Metadata["S3E-Other"]: names that start with "s3e-" are reserved for the envelope',
    ],
    [{ a: "x", A: "y" }, 'Metadata["A"]: another name differs only by case, and S3 would join the two'],
    [{ a: "é" }, 'Metadata["a"]: expected printable ASCII; encode the value, for example as base64'],
    [{ a: " x" }, 'Metadata["a"]: expected no space at either end, as HTTP strips it'],
    [{ a: "x " }, 'Metadata["a"]: expected no space at either end, as HTTP strips it'],
    [
      { a: "x\r\nHost: evil" },
      'Metadata["a"]: expected printable ASCII; encode the value, for example as base64',
    ],
  ])("refuses %j", (metadata, message) => {
    expect(() => userMetadataArgument(metadata)).toThrow(message);
  });
});

describe("joinMetadata", () => {
  const envelope = { "s3e-context": "c".repeat(89), "s3e-recipients": "r".repeat(86) }; // 100 bytes each with its name

  it("allows exactly the 2048 bytes of S3", () => {
    const user = { name: "x".repeat(2048 - 200 - 4) };
    expect(joinMetadata(user, envelope)).toEqual({ ...user, ...envelope });
  });

  it("refuses one byte more, and states the size of each", async () => {
    const error = await errorOf(() => joinMetadata({ name: "x".repeat(2048 - 200 - 3) }, envelope));
    expect(error).toEqual(
      coded("ENVELOPE_TOO_LARGE", {
        size: 2049,
        limit: 2048,
        userBytes: 1849,
        contextBytes: 89,
        recipientBytes: 86,
      }),
    );
    expect(error.message).toContain(
      "your Metadata takes 1849, the encryption context 89, the wrapped keys 86",
    );
    expect(error.message).toContain('envelopeStorage: "sidecar"');
  });

  it("is reversed by withoutEnvelope", () => {
    expect(withoutEnvelope(joinMetadata({ a: "1" }, envelope))).toEqual({ a: "1" });
    expect(withoutEnvelope({ "S3E-Context": "x", b: "2" })).toEqual({ b: "2" });
  });
});
