import { type EncryptedDataKey, KeyringNode, type NodeDecryptionMaterial } from "@aws-crypto/client-node";
import { describe, expect, it } from "vitest";
import { EnvelopeError } from "../../src/base/errors.js";
import { decryptEncryptionSdkMessage } from "../../src/encryption-sdk/decrypt-message.js";
import { cut, expectBytes, testBytes } from "../support/bytes.js";
import {
  aesKeyringNode,
  committedSigned,
  committedUnsigned,
  decryptMessage,
  multiKeyringNode,
  pythonKeyring,
  pythonVector,
  readMessage,
  writeMessage,
} from "../support/encryption-sdk.js";
import { coded } from "../support/errors.js";
import { everyNth } from "../support/tier.js";

/** A keyring that must not be called. */
class Untouched extends KeyringNode {
  override async _onEncrypt(): Promise<never> {
    throw new Error("asked");
  }
  override async _onDecrypt(_: NodeDecryptionMaterial, __: EncryptedDataKey[]): Promise<never> {
    throw new Error("asked");
  }
}
const untouched = { keyring: new Untouched() };

const secret = "a value of the context";
const encryptionContext = { tenant: secret };
const small: [name: string, write: () => Promise<Buffer>][] = [
  ["committed", () => writeMessage(testBytes(20), { encryptionContext })],
  ["committed and signed", () => writeMessage(testBytes(20), { suite: committedSigned, encryptionContext })],
  [
    "not committed",
    () => writeMessage(testBytes(20), { suite: "ALG_AES128_GCM_IV12_TAG16_HKDF_SHA256", encryptionContext }),
  ],
  [
    "signed, in three frames",
    () => writeMessage(testBytes(20), { suite: committedSigned, frameLength: 8, encryptionContext }),
  ],
];

describe("modified messages", () => {
  it.each(small)("a message with any byte changed yields no plaintext: %s", async (_, write) => {
    const message = await write();
    for (const [at, byte] of everyNth([...message.entries()], 3)) {
      const changed = Buffer.from(message);
      changed[at] = byte ^ (1 << (at % 8));
      const { released, error } = await readMessage(changed, { encryptionContext });
      expect(error, `byte ${at}`).toBeInstanceOf(EnvelopeError);
      expect(released, `byte ${at}`).toHaveLength(0);
      expect(JSON.stringify(error) + String(error)).not.toContain(secret);
    }
  });

  it.each(small)("a truncated message yields no plaintext: %s", async (_, write) => {
    const message = await write();
    for (let length = 0; length < message.length; length++) {
      const { released, error } = await readMessage(message.subarray(0, length), { encryptionContext });
      expect(error, `${length} bytes`).toEqual(coded("BODY_TRUNCATED"));
      expect(released, `${length} bytes`).toHaveLength(0);
    }
  });

  it.each(small)("a message with bytes after its end yields no plaintext: %s", async (_, write) => {
    const message = await write();
    const trailing = coded("ENVELOPE_INVALID", { messageBytes: message.length });
    for (const source of [
      Buffer.concat([message, Buffer.of(0)]),
      [message, Buffer.of(1)],
      [message, Buffer.alloc(0), message],
    ]) {
      const { released, error } = await readMessage(source, { encryptionContext });
      expect(error).toEqual(trailing);
      expect(released).toHaveLength(0);
    }
  });

  it("a message whose frames were moved, omitted or extended is refused at the first of them", async () => {
    const plaintext = testBytes(35);
    const message = await writeMessage(plaintext, { frameLength: 10 });
    const frameBytes = 4 + 12 + 10 + 16;
    const lastBytes = 4 + 4 + 12 + 4 + 5 + 16;
    const start = message.length - lastBytes - 3 * frameBytes;
    const [head, ...frames] = cut(message, start, frameBytes, frameBytes, frameBytes, lastBytes);
    const [first, second, third, last] = frames;
    const sequences = [first, second, third].map((frame) => Buffer.from(frame ?? []).readUInt32BE());
    expect(sequences).toEqual([1, 2, 3]);
    for (const parts of [
      [first, third, second, last],
      [first, third, last],
      [first, first, second, third, last],
    ]) {
      const { released, error } = await readMessage([head, ...parts] as Uint8Array[]);
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expectBytes(released, plaintext.subarray(0, 10));
    }
    // The header of the frame is refused before the frame is read.
    const longer = Buffer.from(last ?? []).subarray(0, 4 + 4 + 12 + 4);
    longer.writeUInt32BE(11, 4 + 4 + 12);
    const { error } = await readMessage([head, first, second, third, longer] as Uint8Array[]);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
  });
});

/** A header, up to its fault. */
function header(fields: {
  version?: number;
  type?: number;
  suite?: number;
  context?: Buffer;
  dataKeys?: number;
  contentType?: number;
  reserved?: number;
  ivBytes?: number;
  frameBytes?: number;
}): Buffer {
  const { version = 1, type = 0x80, suite = 0x0178, context = Buffer.alloc(0), dataKeys = 1 } = fields;
  const { contentType = 2, reserved = 0, ivBytes = 12, frameBytes = 4096 } = fields;
  return Buffer.concat([
    Buffer.of(version, ...(version === 1 ? [type] : []), suite >> 8, suite & 0xff),
    Buffer.alloc(version === 1 ? 16 : 32),
    Buffer.of(context.length >> 8, context.length & 0xff),
    context,
    Buffer.of(dataKeys >> 8, dataKeys & 0xff),
    ...Array.from({ length: Math.min(dataKeys, 20) }, () => Buffer.of(0, 1, 0x61, 0, 1, 0x61, 0, 1, 0x61)),
    Buffer.of(contentType, ...(version === 1 ? [0, 0, 0, reserved, ivBytes] : [])),
    Buffer.of(frameBytes >> 24, frameBytes >> 16, frameBytes >> 8, frameBytes & 0xff),
    Buffer.alloc(version === 1 ? 12 + 16 : 32 + 16),
  ]);
}

/** An encoded context: its pairs, and the number of pairs that it states. */
function context(pairs: (readonly [string | Buffer, string])[], count = pairs.length): Buffer {
  const fields = pairs.flat().map((text) => Buffer.from(text as string));
  return Buffer.concat([
    Buffer.of(count >> 8, count & 0xff),
    ...fields.flatMap((bytes) => [Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]),
  ]);
}

describe("malformed headers", () => {
  const malformed: Record<string, Buffer> = {
    "of another version": header({ version: 3 }),
    "in base64": Buffer.from(header({}).toString("base64").replace(/^./, "A")),
    "of another type": header({ type: 0x81 }),
    "of an unknown suite": header({ suite: 0x0179 }),
    "of version 1 with a suite of version 2": header({ suite: 0x0478 }),
    "of version 2 with a suite of version 1": header({ version: 2, suite: 0x0178 }),
    "with a context of one byte": header({ context: Buffer.alloc(1) }),
    "with a context that ends too early": header({ context: context([["a", "b"]], 2) }),
    "with a context that goes on": header({ context: context([["a", "b"]], 0) }),
    "with a context that ends inside a length": header({ context: Buffer.of(0, 1, 0) }),
    "with a context that has a name twice": header({
      context: context([
        ["a", "b"],
        ["a", "c"],
      ]),
    }),
    "with the name __proto__": header({ context: context([["__proto__", "b"]]) }),
    "with a context that is not UTF-8": header({ context: context([[Buffer.of(0xff), "b"]]) }),
    "with the key of a signature it has not": header({ context: context([["aws-crypto-public-key", "b"]]) }),
    "without the key of its signature": header({ suite: 0x0378 }),
    "without data keys": header({ dataKeys: 0 }),
    "with an unknown content type": header({ contentType: 3 }),
    "with reserved bytes": header({ reserved: 1 }),
    "with another IV": header({ ivBytes: 16 }),
    "with frames of no length": header({ frameBytes: 0 }),
    "with frames in an unframed message": header({ contentType: 1 }),
    "of version 2 with frames of no length": header({ version: 2, suite: 0x0478, frameBytes: 0 }),
  };

  it.each(Object.entries(malformed))("a header %s is refused", async (_, bytes) => {
    const { error } = await readMessage(bytes, { ...untouched, encryptionContext: "any" });
    expect(error).toEqual(coded("ENVELOPE_INVALID"));
  });

  it("a well-formed header reaches the keyring", async () => {
    for (const bytes of [header({}), header({ version: 2, suite: 0x0478 }), header({ dataKeys: 10 })]) {
      const { error } = await readMessage(bytes, { ...untouched });
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expect((error as EnvelopeError).cause).toEqual(new Error("asked"));
    }
  });

  it("the error for a message in base64 says so", async () => {
    const { error } = await readMessage(Buffer.from("AgV4"), untouched);
    expect((error as Error).message).toContain("base64");
  });
});

describe("policy checks before any key is used", () => {
  it("a message without key commitment is refused by default", async () => {
    const message = await writeMessage(testBytes(1), { suite: "ALG_AES256_GCM_IV12_TAG16" });
    for (const commitmentPolicy of [undefined, "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"] as const) {
      const { error } = await readMessage(message, { ...untouched, commitmentPolicy });
      expect(error).toEqual(
        coded("LEGACY_REFUSED", { option: "commitmentPolicy", algorithmSuite: "ALG_AES256_GCM_IV12_TAG16" }),
      );
    }
  });

  it("too many data keys are refused before they are read", async () => {
    const refused = (encryptedDataKeys: number) =>
      coded("LEGACY_REFUSED", { option: "maxEncryptedDataKeys", encryptedDataKeys });
    const keys = (count: number) =>
      Array.from({ length: count }, (_, index) => aesKeyringNode(index === 0 ? undefined : `${index}`));
    const write = (count: number) => {
      const [first = aesKeyringNode(), ...others] = keys(count);
      return writeMessage(testBytes(5), { keyring: multiKeyringNode(first, ...others) });
    };
    const eleven = await write(11);
    expectBytes(await decryptMessage(await write(10)), testBytes(5));
    expect((await readMessage(eleven, untouched)).error).toEqual(refused(11));
    expectBytes(await decryptMessage(eleven, { maxEncryptedDataKeys: 11 }), testBytes(5));
    expect((await readMessage(await write(2), { ...untouched, maxEncryptedDataKeys: 1 })).error).toEqual(
      refused(2),
    );
    const cutShort = header({ dataKeys: 0xffff }).subarray(0, 24);
    expect((await readMessage(cutShort, untouched)).error).toEqual(refused(0xffff));
  });

  const written = { tenant: secret, purpose: "mail" };
  const others: [name: string, expected: Record<string, string> | undefined, differing: string[]][] = [
    ["none is stated", undefined, ["purpose", "tenant"]],
    ["fewer pairs are stated", { tenant: secret }, ["purpose"]],
    ["more pairs are stated", { ...written, more: "1" }, ["more"]],
    ["another value is stated", { ...written, tenant: "43" }, ["tenant"]],
  ];
  for (const suite of [committedUnsigned, committedSigned]) {
    it.each(others)(`another context is refused when %s: ${suite}`, async (_, expected, differing) => {
      const message = await writeMessage(testBytes(1), { suite, encryptionContext: written });
      const { error } = await readMessage(message, { ...untouched, encryptionContext: expected });
      expect(error).toEqual(coded("CONTEXT_MISMATCH", { differing }));
      expect(JSON.stringify(error) + String(error)).not.toContain(secret);
    });

    it(`the context "any" accepts every context: ${suite}`, async () => {
      const message = await writeMessage(testBytes(1), { suite, encryptionContext: written });
      expectBytes(await decryptMessage(message, { encryptionContext: "any" }), testBytes(1));
    });
  }
});

describe("wrong keys", () => {
  it("a key that the message does not name has another error than a key that does not fit", async () => {
    const message = await writeMessage(testBytes(9));
    expect((await readMessage(message, { keyring: aesKeyringNode("other") })).error).toEqual(
      coded("KEY_NOT_FOR_OBJECT", { recipients: ["s3-envelope aes-key"] }),
    );
    expect((await readMessage(message, { keyring: aesKeyringNode("aes-key", 2) })).error).toEqual(
      coded("DECRYPTION_FAILED"),
    );
  });

  it("a key that does not fit and a changed commitment, header or frame have the same error", async () => {
    const message = await writeMessage(testBytes(9));
    const changed = (fromEnd: number) => {
      const bytes = Buffer.from(message);
      const at = bytes.length - fromEnd;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes;
    };
    const bodyBytes = 4 + 4 + 12 + 4 + 9 + 16;
    const errors = [
      (await readMessage(message, { keyring: aesKeyringNode("aes-key", 2) })).error,
      (await readMessage(changed(bodyBytes + 16 + 5))).error,
      (await readMessage(changed(bodyBytes + 3))).error,
      (await readMessage(changed(1))).error,
    ] as EnvelopeError[];
    for (const { code, message, details, cause } of errors) {
      expect({ code, message, details, cause }).toEqual({
        code: "DECRYPTION_FAILED",
        message: errors[0]?.message,
        details: {},
        cause: undefined,
      });
    }
  });
});

describe("limits of memory", () => {
  const tooLarge = coded("LEGACY_TOO_LARGE", { option: "maxBufferedMessageBytes" });

  it("a signed message larger than the limit is refused", async () => {
    const message = await writeMessage(testBytes(1000), { suite: committedSigned, frameLength: 100 });
    const { released, error } = await readMessage(message, { maxBufferedMessageBytes: 999 });
    expect(error).toEqual(tooLarge);
    expect(released).toHaveLength(0);
    expectBytes(await decryptMessage(message, { maxBufferedMessageBytes: 1000 }), testBytes(1000));
  });

  it("a frame of an unsigned message larger than the limit is refused", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    expect((await readMessage(message, { maxBufferedMessageBytes: 99 })).error).toEqual(tooLarge);
    expectBytes(await decryptMessage(message, { maxBufferedMessageBytes: 100 }), testBytes(1000));
  });

  it("a block without frames larger than the limit is refused before it is read", async () => {
    const vector = pythonVector("unframed-signed.json");
    const { encryptionContext } = vector;
    const message = Buffer.from(vector.message, "base64");
    const keyring = pythonKeyring(vector, "aes-key");
    const read = (maxBufferedMessageBytes: number, source: Buffer) =>
      readMessage(source, { keyring, encryptionContext, maxBufferedMessageBytes });
    const at = message.lastIndexOf(Buffer.from([0, 0, 0, 0, 0, 0, 1, 44]));
    expect((await read(299, message.subarray(0, at + 8))).error).toEqual(tooLarge);
    expect((await read(300, message)).released).toHaveLength(300);
  });
});

describe("releasePlaintextBeforeSignature", () => {
  it("releasePlaintextBeforeSignature yields frames before the signature has been verified, but never the last one", async () => {
    const message = await writeMessage(testBytes(250), { suite: committedSigned, frameLength: 100 });
    expectBytes(await decryptMessage(message, { releasePlaintextBeforeSignature: true }), testBytes(250));
    const forged = Buffer.from(message);
    forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
    const byDefault = await readMessage(forged);
    expect(byDefault.error).toEqual(coded("DECRYPTION_FAILED"));
    expect(byDefault.released).toHaveLength(0);
    const early = await readMessage(forged, {
      releasePlaintextBeforeSignature: true,
      maxBufferedMessageBytes: 100,
    });
    expect(early.error).toEqual(coded("DECRYPTION_FAILED"));
    expectBytes(early.released, testBytes(250).subarray(0, 200));
  });
});

it("a signed message of many small frames is collected in one buffer", async () => {
  const message = await writeMessage(testBytes(1000), { suite: committedSigned, frameLength: 1 });
  const { plaintext } = await decryptEncryptionSdkMessage(message, { keyring: aesKeyringNode() });
  const pieces: Buffer[] = [];
  for await (const piece of plaintext) pieces.push(piece);
  expect(pieces).toHaveLength(1);
  expectBytes(pieces[0] ?? Buffer.alloc(0), testBytes(1000));
});
