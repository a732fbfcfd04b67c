/** Checks of S3: valid and invalid signatures. */
import { S3Client } from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { failure } from "../../support/errors.js";
import { presignedUrl } from "../../testing/raw.js";
import type { Check } from "../checks.js";
import { content, newKey, put, read, type S3Context } from "../s3-context.js";

export const signatureChecks: readonly Check<S3Context>[] = [
  {
    operation: "Signature",
    name: "presigned PUT and GET",
    async run({ config, Bucket }) {
      const path = `/${Bucket}/${newKey()}`;
      const put = await presignedUrl(config, { method: "PUT", path });
      expect((await fetch(put, { method: "PUT", body: content })).status).toBe(200);
      const answer = await fetch(await presignedUrl(config, { path }));
      expect(answer.status).toBe(200);
      expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);
    },
  },
  {
    operation: "Signature",
    name: "the metadata of a presigned PUT, which are in its query",
    async run(c) {
      const Key = newKey();
      const headers = { "x-amz-meta-a": "b" };
      const url = await presignedUrl(c.config, { method: "PUT", path: `/${c.Bucket}/${Key}`, headers });
      expect((await fetch(url, { method: "PUT", body: content })).status).toBe(200);
      expect((await read(c, Key)).Metadata).toEqual({ a: "b" });
    },
  },
  {
    operation: "Signature",
    name: "an expired presigned GET is refused",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      const signingDate = new Date(Date.now() - 120_000);
      const url = await presignedUrl(c.config, { path: `/${c.Bucket}/${Key}`, signingDate });
      expect((await fetch(url)).status).toBe(403);
    },
  },
  ...(
    [
      ["a wrong secret", "SignatureDoesNotMatch", { secretAccessKey: "wrong" }, {}],
      ["an unknown key", "InvalidAccessKeyId", { accessKeyId: "AKIAUNKNOWN" }, {}],
      ["a clock that is an hour off", "RequestTimeTooSkewed", {}, { systemClockOffset: 3_600_000 }],
    ] as const
  ).map(([name, code, credentials, settings]) => ({
    operation: "Signature",
    name: `${name} is refused`,
    async run(c: S3Context) {
      const Key = newKey();
      await put(c, Key);
      const s3 = new S3Client({
        ...c.config,
        ...settings,
        maxAttempts: 1,
        credentials: { ...c.config.credentials, ...credentials },
      });
      expect(await failure(() => read({ ...c, s3 }, Key))).toEqual([code, 403]);
      s3.destroy();
    },
  })),
];
