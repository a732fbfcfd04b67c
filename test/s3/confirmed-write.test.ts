import { S3Client } from "@aws-sdk/client-s3";
import { expect, it, vi } from "vitest";
import { ConfirmedWrite } from "../../src/s3/confirmed-write.js";
import { errorOf } from "../support/errors.js";
import { Bucket } from "../support/local.js";

it("a confirmed write whose signal has aborted is not sent, so that no object can exist", async () => {
  const commit = new ConfirmedWrite();
  const request = vi.fn();
  const input = {
    s3: new S3Client({ region: "eu-central-1" }),
    put: { Bucket, Key: "k" },
    signal: AbortSignal.abort(new Error("enough")),
  };
  expect((await errorOf(() => commit.write(input, 1, request))).message).toBe("enough");
  expect(request).not.toHaveBeenCalled();
  expect(commit.mayExist).toBe(false);
});
