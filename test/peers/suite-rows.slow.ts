/** Rows 1 to 29 of the public suite (section 8 of the reference) against this library's server. */
import { constants, publicEncrypt } from "node:crypto";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import { Bucket } from "../support/local.js";
import { body, inFile, policies, publicKey, refused, rsa, useSuite, v2 } from "./suite.js";

const suite = useSuite();
const { local, materials, put, get, change, changeFile } = suite;

describe("rows 1 to 4: KMS", () => {
  const context = { a: "b", c: "d" };
  const text = "Provided encryption context does not match information retrieved from S3";

  test.each([{}, context])("the context %o comes back, and another does not", async (stated) => {
    await put(materials().KMS, v2, stated);
    expect(await get(materials().KMS, v2, { context: stated })).toEqual(body);
    const others: Record<string, string>[] = [{ a: "b" }, { a: "b", c: "e" }, { ...context, e: "f" }];
    for (const other of others) {
      const got = get(materials().KMS, v2, { context: other });
      await expect(got).rejects.toMatchObject({ ...refused, message: text });
    }
  });

  test("and none is not any", async () => {
    await put(materials().KMS, v2, context);
    await expect(get(materials().KMS, v2)).rejects.toMatchObject({ ...refused, message: text });
  });
});

describe.each(["KMS", "RSA", "AES"] as const)("rows 8 and 10 to 14: %s", (key) => {
  test.each(["metadata", "instruction file"])("V2 in the %s is read by all but RERD", async (storage) => {
    await put(materials()[key], { ...v2, ...(storage === "metadata" ? {} : inFile) });
    const { metadata } = await local.getRaw("k");
    expect("x-amz-key-v2" in metadata).toBe(storage === "metadata");
    for (const policy of ["FEAD", "REAC"] as const) {
      expect(await get(materials()[key], policies[policy])).toEqual(body);
    }
    for (const policy of ["RERD", "default"] as const) {
      const message = "LEGACY_REFUSED: commitmentPolicy";
      await expect(get(materials()[key], policies[policy])).rejects.toMatchObject({ ...refused, message });
    }
  });

  test.each(["metadata", "instruction file"])("V3 in the %s is read by all", async (storage) => {
    for (const writing of ["REAC", "RERD", "default"] as const) {
      await put(materials()[key], { ...policies[writing], ...(storage === "metadata" ? {} : inFile) });
      const { metadata } = await local.getRaw("k");
      expect(metadata["x-amz-c"]).toBe("115");
      expect("x-amz-3" in metadata).toBe(storage === "metadata");
      if (storage !== "metadata") {
        expect((await local.getRaw("k.instruction")).metadata).toEqual({ "x-amz-crypto-instr-file": "" });
      }
      for (const policy of Object.values(policies)) expect(await get(materials()[key], policy)).toEqual(body);
    }
  });
});

describe("rows 19 and 20: Bleichenbacher", () => {
  const keys = {
    zeros: Buffer.alloc(256),
    valid: publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(32)),
  };

  test.each(["metadata", "instruction file"])("in the %s", async (storage) => {
    for (const policy of [policies.FEAD, policies.REAC, policies.RERD]) {
      const messages = new Set<string>();
      for (const wrapped of Object.values(keys)) {
        const fields = {
          "x-amz-key": wrapped.toString("base64"),
          "x-amz-iv": Buffer.alloc(16).toString("base64"),
          "x-amz-matdesc": "{}",
        };
        const isMetadata = storage === "metadata";
        await local.putRaw("k", testBytes(316, 1), isMetadata ? fields : {});
        if (!isMetadata) await local.putRaw("k.instruction", Buffer.from(JSON.stringify(fields)));
        const error = await get(rsa, policy).catch((caught: unknown) => caught);
        expect(error).toMatchObject(refused);
        messages.add((error as Error).message);
      }
      expect(messages.size).toBe(1);
    }
  });
});

test("rows 21 and 22: fields of V3 beside those of V2", async () => {
  await put(materials().KMS, v2);
  expect(await get(materials().KMS, policies.FEAD)).toEqual(body);
  await change("k", ({ metadata }) => Object.assign(metadata, { "x-amz-c": "115", "x-amz-w": "12" }));
  for (const policy of Object.values(policies)) {
    await expect(get(materials().KMS, policy)).rejects.toMatchObject(refused);
  }
});

describe.each(["KMS", "RSA", "AES"] as const)("rows 23 to 27: %s with an instruction file", (key) => {
  const committing = ["c", "d", "i"].map((name) => `x-amz-${name}`);

  test("row 23: the file's marker is not needed", async () => {
    await put(materials()[key], inFile);
    await change("k.instruction", ({ metadata }) => delete metadata["x-amz-crypto-instr-file"]);
    expect(await get(materials()[key], {})).toEqual(body);
  });

  test("rows 24 and 25: what belongs to the object is in the file, or only there", async () => {
    for (const only of [false, true]) {
      await put(materials()[key], inFile);
      const { metadata } = await local.getRaw("k");
      await changeFile((fields) => {
        for (const name of committing) fields[name] = metadata[name] ?? "";
      });
      if (only) await change("k", (stored) => Object.assign(stored, { metadata: {} }));
      for (const policy of [policies.default, policies.FEAD]) {
        await expect(get(materials()[key], policy)).rejects.toMatchObject(refused);
      }
    }
  });

  test("row 26: an envelope in metadata is read by a client that writes files", async () => {
    await put(materials()[key], {});
    local.operations();
    expect(await get(materials()[key], inFile)).toEqual(body);
    expect(local.operations().filter((operation) => operation === "GetObject")).toHaveLength(1);
  });

  test("row 27: the file is gone", async () => {
    await put(materials()[key], inFile);
    await local.s3.send(new DeleteObjectCommand({ Bucket, Key: "k.instruction" }));
    const message = "ENVELOPE_MISSING";
    for (const settings of [{}, inFile]) {
      await expect(get(materials()[key], settings)).rejects.toMatchObject({ ...refused, message });
    }
  });
});

test("rows 28 and 29: the file holds other JSON, or another name", async () => {
  await put(materials().KMS, inFile);
  await change("k.instruction", (stored) =>
    Object.assign(stored, { body: Buffer.from('{"invalid":"json"}') }),
  );
  await expect(get(materials().KMS, policies.REAC)).rejects.toMatchObject(refused);
  await put(materials().KMS, { ...v2, ...inFile });
  await changeFile((fields) => {
    fields["x-amz-key-v2-tampered"] = fields["x-amz-key-v2"] ?? "";
    delete fields["x-amz-key-v2"];
  });
  await expect(get(materials().KMS, policies.FEAD)).rejects.toMatchObject(refused);
});
