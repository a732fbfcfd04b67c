import { expect, it } from "vitest";
import { aesKeyring, EnvelopeClient } from "../../src/index.js";

const keyring = aesKeyring({ keyId: "k", wrappingKey: Buffer.alloc(32) });
const s3 = { send() {} } as never;

it("a client accepts parts from 5 MiB and buffers from 16 MiB", () => {
  const mebibyte = 1024 * 1024;
  const client = (partSizeBytes: number, maxBufferedBytes: number) =>
    new EnvelopeClient({ s3, keyring, partSizeBytes, maxBufferedBytes });
  expect(() => client(5 * mebibyte, 16 * mebibyte)).not.toThrow();
  expect(() => client(5 * mebibyte - 1, 16 * mebibyte)).toThrow(
    "options.partSizeBytes: expected an integer from 5242880 to 2146435072, got 5242879",
  );
  expect(() => client(5 * mebibyte, 16 * mebibyte - 1)).toThrow(
    "options.maxBufferedBytes: expected an integer from 16777216 to 9007199254740991, got 16777215",
  );
});
