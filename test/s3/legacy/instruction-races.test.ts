import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it } from "vitest";
import { coded, errorOf } from "../../support/errors.js";
import { formats, keysOf, optionsOf, removeAll, stored, writerWith } from "../../support/legacy-writer.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { readS3ec } from "../../support/s3ec.js";

const local = useLocalAws();
const Key = "k";
const at = { Bucket, Key };
const file = "k.instruction";
const { key } = keysOf(local, "aes");
const writer = (options = {}) => writerWith(local, { instructionFile: true, ...options });

afterEach(async () => {
  local.aws.clearFaults();
  await removeAll(local);
});

/** What anybody reads at the key now. */
const read = async () => (await readS3ec(await stored(local, Key), key)).toString();

describe.each(formats)("a write in %s that fails after another has succeeded", (format) => {
  const put = (Body: string | AsyncIterable<string>, options = {}) =>
    writer({ ...optionsOf[format], ...options }).put({ ...at, Body });
  const beforehand = async (name: string) => {
    if (name === "an earlier object") await put("old");
  };

  it.each(["an earlier object", "none"])("leaves the other's file where it is (%s)", async (name) => {
    await beforehand(name);
    async function* body() {
      yield "mine";
      await put("theirs");
      throw new Error("broken");
    }
    const error = await errorOf(() => put(body()));
    expect(error).toEqual(coded("SOURCE_FAILED"));
    expect(error.message).not.toContain("instruction file");
    expect(await read()).toBe("theirs");
  });

  it.each(["an earlier object", "none"])("does so when its own file never arrived (%s)", async (name) => {
    await beforehand(name);
    const send = async (command: PutObjectCommand, options: object) => {
      if (!(command instanceof PutObjectCommand) || command.input.Key !== file)
        return local.s3.send(command, options);
      await put("theirs");
      throw Object.assign(new Error("cut"), { name: "ECONNRESET" });
    };
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    expect(await errorOf(() => put("mine", { s3 }))).toEqual(
      coded("S3_UNAVAILABLE", { possiblyOrphanedInstructionFileKey: file }),
    );
    expect(await read()).toBe("theirs");
  });
});

describe("an undo", () => {
  const put = (Body = "new") => writer().put({ ...at, Body });
  const denied = { status: 403, code: "AccessDenied" };

  it.each(["PutObject", "DeleteObject"])(
    "does without a condition where %s takes none",
    async (operation) => {
      if (operation === "PutObject") await put("old");
      local.aws.fault({ operation: "PutObject", skip: 1, ...denied });
      const skip = operation === "PutObject" ? 2 : 0;
      local.aws.fault({ operation, skip, status: 501, code: "NotImplemented" });
      expect(await errorOf(() => put())).toEqual(coded("S3_ACCESS_DENIED"));
      if (operation === "PutObject") expect(await read()).toBe("old");
      else expect((await local.contents()).keys).toEqual([]);
    },
  );

  it("that cannot tell whose file is there leaves it, and says what may be lost", async () => {
    await put("old");
    local.aws.fault({ operation: "PutObject", reset: "after" });
    local.aws.fault({ operation: "GetObject", skip: 1, ...denied });
    const error = await errorOf(() => put());
    expect(error).toEqual(coded("S3_UNAVAILABLE", { lostInstructionFileKey: file }));
  });
});
