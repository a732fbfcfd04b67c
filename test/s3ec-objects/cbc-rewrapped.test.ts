/** AES/CBC whose instruction file a client for Java has wrapped anew, bound to the name of AES/GCM: read by its own option. */
import { describe, expect, it } from "vitest";
import { decryptLegacyObject, legacyAesKeyring, legacyRsaKeyring } from "../../src/legacy.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { allowAll, kek, type LegacyFiles, rsaPrivateKey, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { readerOf, store } from "./support.js";

const local = useLocalAws();
const plaintext = testBytes(300, 300);
const everything = { ...allowAll, enableCbcRewrappedByJava: true };

/** The body and the envelope of AES/CBC, the wrapped key of AES/GCM; of the same data key. */
async function rewrapped(wrap: "AES/GCM" | "RSA-OAEP-SHA1"): Promise<Required<LegacyFiles>> {
  const how = { storage: "instruction-file", dataKeyBytes: 32, seed: 3 } as const;
  const [cbc, gcm] = await Promise.all(
    (["cbc", "gcm"] as const).map((content) => writeLegacy(plaintext, { format: "V2", content, wrap }, how)),
  );
  const [fields, others] = [cbc, gcm].map((one) => JSON.parse(one?.instructionFile ?? ""));
  const instructionFile = JSON.stringify({ ...fields, "x-amz-key-v2": others["x-amz-key-v2"] });
  return { body: cbc?.body ?? Buffer.alloc(0), metadata: {}, instructionFile };
}

describe.each(["AES/GCM", "RSA-OAEP-SHA1"] as const)("an AES/CBC object rewrapped by %s", (wrap) => {
  it("is read whole, in ranges and without S3, with enableCbcRewrappedByJava", async () => {
    const files = await rewrapped(wrap);
    await store(local, "anew", files);
    const client = readerOf(local, everything);
    const whole = await client.get({ Bucket, Key: "anew" });
    expectBytes(await whole.Body.transformToByteArray(), plaintext);
    const part = await client.get({ Bucket, Key: "anew", Range: "bytes=20-40" });
    expectBytes(await part.Body.transformToByteArray(), plaintext.subarray(20, 41));
    const keyring = [legacyAesKeyring({ wrappingKey: kek }), legacyRsaKeyring({ privateKey: rsaPrivateKey })];
    const { body: Body, metadata: Metadata, instructionFile } = files;
    const { Body: read } = await decryptLegacyObject(
      { Body, Metadata, instructionFile },
      { keyring, ...everything },
    );
    expectBytes(await read.transformToByteArray(), plaintext);
  });

  it("is refused without that option, and without those that all AES/CBC needs", async () => {
    await store(local, "anew", await rewrapped(wrap));
    const refused = (options: object) => errorOf(() => readerOf(local, options).get({ Bucket, Key: "anew" }));
    expect(await refused(allowAll)).toEqual(coded("DECRYPTION_FAILED"));
    const { enableLegacyUnauthenticatedModes: _off, ...authenticated } = everything;
    expect(await refused(authenticated)).toEqual(
      coded("LEGACY_REFUSED", { option: "enableLegacyUnauthenticatedModes" }),
    );
  });

  it("is refused with the envelope in the metadata, where no such client writes it", async () => {
    const { body, instructionFile } = await rewrapped(wrap);
    await store(local, "moved", { body, metadata: JSON.parse(instructionFile) });
    const get = () => readerOf(local, everything).get({ Bucket, Key: "moved" });
    expect(await errorOf(get)).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("is also read if it binds its own name, and AES/GCM bound to AES/CBC is not", async () => {
    const how = { storage: "instruction-file", dataKeyBytes: 32, seed: 3 } as const;
    const own = await writeLegacy(plaintext, { format: "V2", content: "cbc", wrap }, how);
    await store(local, "own", own);
    const client = readerOf(local, everything);
    const { Body } = await client.get({ Bucket, Key: "own" });
    expectBytes(await Body.transformToByteArray(), plaintext);

    const gcm = await writeLegacy(plaintext, { format: "V2", content: "gcm", wrap }, how);
    const wrapped = { "x-amz-key-v2": JSON.parse(own.instructionFile ?? "")["x-amz-key-v2"] };
    const instructionFile = JSON.stringify({ ...JSON.parse(gcm.instructionFile ?? ""), ...wrapped });
    await store(local, "other", { ...gcm, instructionFile });
    expect(await errorOf(() => client.get({ Bucket, Key: "other" }))).toEqual(coded("DECRYPTION_FAILED"));
  });
});
