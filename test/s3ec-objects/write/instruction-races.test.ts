import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it } from "vitest";
import { legacyAesKeyring } from "../../../src/legacy.js";
import { coded, errorOf } from "../../support/errors.js";
import { formats, keysOf, optionsOf, removeAll, stored, writerWith } from "../../support/legacy-writer.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { readS3ec, s3ecKeys } from "../../support/s3ec.js";

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

/** Reads the current object at the key. */
const read = async () => (await readS3ec(await stored(local, Key), key)).toString();

describe.each(formats)("a write in %s that fails after another writer has succeeded", (format) => {
  const put = (Body: string | AsyncIterable<string>, options = {}) =>
    writer({ ...optionsOf[format], ...options }).put({ ...at, Body });
  const beforehand = async (name: string) => {
    if (name === "an earlier object") await put("old");
  };

  it.each(["an earlier object", "none"])(
    "the instruction file of the other writer stays (before: %s)",
    async (name) => {
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
    },
  );

  it.each(["an earlier object", "none"])(
    "the instruction file of the other writer stays when its own file never arrived (before: %s)",
    async (name) => {
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
    },
  );
});

describe("restoring an instruction file", () => {
  const put = (Body = "new") => writer().put({ ...at, Body });
  const denied = { status: 403, code: "AccessDenied" };

  it.each(["PutObject", "DeleteObject"])(
    "an instruction file is restored without a condition in a store whose %s has none",
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

  it("an instruction file of an unknown writer stays, and the error names what may be lost", async () => {
    await put("old");
    local.aws.fault({ operation: "PutObject", reset: "after" });
    local.aws.fault({ operation: "GetObject", skip: 1, ...denied });
    const error = await errorOf(() => put());
    expect(error).toEqual(coded("S3_UNAVAILABLE", { lostInstructionFileKey: file }));
  });
});

describe("an instruction file that changes while a write looks at it", () => {
  /** An S3 client that calls a function once the earlier file has been read. */
  const afterLook = (happens: () => Promise<unknown>) => {
    let looked = false;
    const send = async (command: never, options: object) => {
      const sent = local.s3.send(command, options);
      if ((command as object) instanceof GetObjectCommand && !looked) {
        looked = true;
        await Promise.allSettled([sent]);
        await happens();
      }
      return sent;
    };
    return { config: local.s3.config, send } as unknown as S3Client;
  };
  const newKeyring = legacyAesKeyring({
    wrappingKey: s3ecKeys.otherAes,
    materialsDescription: { key: "new" },
  });

  it("an instruction file that was re-encrypted in the meantime is neither replaced nor restored", async () => {
    await writer().put({ ...at, Body: "old" });
    const s3 = afterLook(() => writer().reEncryptInstructionFile({ ...at, newKeyring }));
    local.aws.fault({ operation: "PutObject", skip: 2, status: 403, code: "AccessDenied" });
    const error = await errorOf(() => writer({ s3 }).put({ ...at, Body: "new" }));
    expect(error).toEqual(coded("S3_PRECONDITION_FAILED", { key: file }));
    expect(error.message).toContain("put it again");
    const now = await readS3ec(await stored(local, Key), { aes: s3ecKeys.otherAes });
    expect(now.toString()).toBe("old");
  });

  it.each(["was written", "was removed"])(
    "an instruction file is not replaced when it %s in the meantime",
    async (what) => {
      if (what === "was removed") await writer().put({ ...at, Body: "old" });
      const s3 = afterLook(() =>
        what === "was removed" ? writer().delete(at) : writer().put({ ...at, Body: "theirs" }),
      );
      expect(await errorOf(() => writer({ s3 }).put({ ...at, Body: "new" }))).toEqual(
        coded("S3_PRECONDITION_FAILED", { key: file }),
      );
      if (what === "was removed") expect((await local.contents()).keys).toEqual([]);
      else expect(await read()).toBe("theirs");
    },
  );

  it.each(["an earlier object", "none"])(
    "an instruction file of the first attempt of a retry is its own (before: %s)",
    async (name) => {
      if (name === "an earlier object") await writer().put({ ...at, Body: "old" });
      local.aws.fault({ operation: "PutObject", reset: "after" });
      const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 3 });
      await writer({ s3 }).put({ ...at, Body: "new" });
      expect(await read()).toBe("new");
    },
  );

  it.each(["an earlier object", "none"])(
    "an instruction file is replaced in a store without conditional writes (before: %s)",
    async (name) => {
      if (name === "an earlier object") await writer().put({ ...at, Body: "old" });
      local.aws.fault({ operation: "PutObject", status: 501, code: "NotImplemented" });
      await writer().put({ ...at, Body: "new" });
      expect(await read()).toBe("new");
    },
  );
});
