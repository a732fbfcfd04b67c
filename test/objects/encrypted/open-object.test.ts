import { Readable } from "node:stream";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { describe, expect, it } from "vitest";
import { openEncryptedObject } from "../../../src/objects/encrypted/open-object.js";

describe("opening an encrypted object", () => {
  it("closes the body of a response that was fetched for its metadata alone", async () => {
    const s3 = new S3Client({ region: "eu-central-1" });
    const mock = mockClient(s3);
    const notSatisfiable = Object.assign(new Error("no such range"), {
      name: "InvalidRange",
      $metadata: { httpStatusCode: 416 },
    });
    mock.on(GetObjectCommand, { Range: "bytes=0-99" }).rejects(notSatisfiable);
    const Body = new Readable({ read: () => undefined }) as never;
    mock
      .on(GetObjectCommand, { Range: undefined })
      .resolves({ Body, ContentLength: 100, ETag: '"e"', Metadata: { name: "value" } });
    const seen: unknown[] = [];
    const isClosed = () => {
      const [, options] = mock.call(1).args as unknown as [unknown, { abortSignal: AbortSignal }];
      return options.abortSignal.aborted;
    };
    const object = await openEncryptedObject(
      [
        {
          find: async ({ metadata }) => {
            seen.push(metadata, isClosed());
            return { describe: async () => ({ encrypted: false }), unlock: async (opened) => opened };
          },
        },
      ],
      {
        config: { s3, idleTimeoutMs: 0 } as never,
        get: { Bucket: "b", Key: "k" },
        target: { operation: "GetObject", bucket: "b", key: "k" },
        signal: new AbortController().signal,
        expected: undefined,
      },
      { Range: "bytes=0-99", onUnsatisfiable: (_error, fetch) => fetch(undefined) },
    );
    expect(seen).toEqual([{ name: "value" }, true]);
    expect(object.first.isUsable()).toBe(false);
  });
});
