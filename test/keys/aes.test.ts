import { createHash, createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import type { KMSClient } from "@aws-sdk/client-kms";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aesKeyring } from "../../src/keys/aes.js";
import { generateDataKey, type Recipient, unwrapDataKey } from "../../src/keys/keyring.js";
import { kmsKeyring } from "../../src/keys/kms/kms-keyring.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const wrappingKey = testBytes(32, 5);
const keyring = aesKeyring({ keyId: "backup-2026", wrappingKey });
const encryptionContext = { tenant: "42", name: "Zoë" };

describe("aesKeyring", () => {
  it("unwraps a data key that it has wrapped", async () => {
    const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext });
    expect(plaintext.length).toBe(32);
    expect(recipients).toEqual([{ provider: "aes", keyId: "backup-2026", ciphertext: expect.any(Buffer) }]);
    expect(recipients[0]?.ciphertext.length).toBe(80);
    expect(await keyring.unwrapDataKey({ recipients, encryptionContext })).toEqual(plaintext);
  });

  it("makes a new data key and a new wrapping each time", async () => {
    const [first, second] = [
      await keyring.generateDataKey({ encryptionContext }),
      await keyring.generateDataKey({ encryptionContext }),
    ];
    expect(first.plaintext).not.toEqual(second.plaintext);
    const salts = [first, second].map(({ recipients }) => recipients[0]?.ciphertext.subarray(0, 32));
    expect(salts[0]).not.toEqual(salts[1]);
  });

  it("keeps a copy of the wrapping key, whatever the caller does to the bytes", async () => {
    const bytes = Buffer.from(wrappingKey);
    const other = aesKeyring({ keyId: "backup-2026", wrappingKey: bytes });
    bytes.fill(0);
    const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext });
    expect(await other.unwrapDataKey({ recipients, encryptionContext })).toEqual(plaintext);
    const byObject = aesKeyring({ keyId: "backup-2026", wrappingKey: createSecretKey(wrappingKey) });
    expect(await byObject.unwrapDataKey({ recipients, encryptionContext })).toEqual(plaintext);
  });

  it("wraps as format.md specifies", async () => {
    const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext: {} });
    const wrapped = Buffer.from(recipients[0]?.ciphertext ?? []);
    const derived = Buffer.from(
      hkdfSync("sha512", wrappingKey, wrapped.subarray(0, 32), "s3-envelope/v1/aes-wrap", 44),
    );
    const key = await crypto.subtle.importKey("raw", derived.subarray(0, 32), "AES-GCM", false, ["decrypt"]);
    const parameters = {
      name: "AES-GCM",
      iv: derived.subarray(32),
      additionalData: Buffer.from("0000", "hex"),
    };
    const unwrapped = await crypto.subtle.decrypt(parameters, key, wrapped.subarray(32));
    expect(Buffer.from(unwrapped)).toEqual(plaintext);
  });

  it("resolves to null when no recipient is for its key", async () => {
    const { recipients } = await keyring.generateDataKey({ encryptionContext });
    const other = aesKeyring({ keyId: "other", wrappingKey });
    expect(await other.unwrapDataKey({ recipients, encryptionContext })).toBe(null);
    const foreign = recipients.map((recipient) => ({ ...recipient, provider: "aws-kms" }));
    expect(await keyring.unwrapDataKey({ recipients: foreign, encryptionContext })).toBe(null);
  });

  it("rejects a wrong key, a wrong context and modified bytes with the same error", async () => {
    const { recipients } = await keyring.generateDataKey({ encryptionContext });
    const [recipient] = recipients as [Recipient];
    const unwrap = (ciphertext: Uint8Array, context = encryptionContext, key = wrappingKey) =>
      errorOf(() =>
        aesKeyring({ keyId: "backup-2026", wrappingKey: key }).unwrapDataKey({
          recipients: [{ ...recipient, ciphertext }],
          encryptionContext: context,
        }),
      );
    const errors = [
      await unwrap(recipient.ciphertext, encryptionContext, randomBytes(32)),
      await unwrap(recipient.ciphertext, { ...encryptionContext, tenant: "43" }),
      await unwrap(recipient.ciphertext.subarray(1)),
      await unwrap(Buffer.concat([recipient.ciphertext, Buffer.of(0)])),
      await unwrap(new Uint8Array(0)),
    ];
    await fc.assert(
      fc.asyncProperty(fc.nat(79), fc.nat(7), async (offset, bit) => {
        const tampered = Buffer.from(recipient.ciphertext);
        tampered[offset] = (tampered[offset] ?? 0) ^ (1 << bit);
        errors.push(await unwrap(tampered));
      }),
    );
    for (const error of errors) expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(new Set(errors.map(({ message }) => message)).size).toBe(1);
  });

  it.each([
    [undefined, new TypeError("options: expected an object, got undefined")],
    [{ wrappingKey }, new TypeError("options.keyId: expected a string, got undefined")],
    [
      { keyId: "", wrappingKey },
      new RangeError("options.keyId: expected a non-empty string, got an empty one"),
    ],
    [
      { keyId: "k".repeat(1025), wrappingKey },
      new RangeError("options.keyId: expected at most 1024 characters, got 1025"),
    ],
    [
      { keyId: "k", wrappingKey: Buffer.alloc(16) },
      new RangeError("options.wrappingKey: expected 32 bytes, got 16"),
    ],
    [
      { keyId: "k", wrappingKey: "password" },
      new TypeError("options.wrappingKey: expected a Uint8Array or a secret KeyObject, got a string"),
    ],
  ])("refuses the options %j", (options, error) => {
    expect(() => aesKeyring(options as never)).toThrow(error);
  });
});

describe("generateDataKey and unwrapDataKey", () => {
  it("zero the keyring's plaintext and return a KeyObject", async () => {
    const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext });
    const digest = createHash("sha256").update(plaintext).digest("hex");
    const generated = await generateDataKey(
      { ...keyring, generateDataKey: async () => ({ plaintext, recipients }) },
      { encryptionContext },
    );
    expect(Buffer.from(plaintext)).toEqual(Buffer.alloc(32));
    expect(createHash("sha256").update(generated.dataKey.export()).digest("hex")).toBe(digest);

    const unwrapped = generated.dataKey.export();
    const opened = await unwrapDataKey(
      { ...keyring, unwrapDataKey: async () => unwrapped },
      { recipients, encryptionContext },
    );
    expect(unwrapped).toEqual(Buffer.alloc(32));
    expect(opened.equals(generated.dataKey)).toBe(true);
  });

  it("zero the keyring's plaintext also when they refuse the recipients", async () => {
    for (const bad of [{ recipients: [] }, { recipients: "none" }]) {
      const plaintext = randomBytes(32);
      const broken = { ...keyring, generateDataKey: async () => ({ plaintext, ...bad }) as never };
      await errorOf(() => generateDataKey(broken, { encryptionContext }));
      expect(plaintext).toEqual(Buffer.alloc(32));
    }
  });

  it("accept the most and the largest recipients that an envelope allows", async () => {
    const largest = { provider: "p".repeat(64), keyId: "k".repeat(1024), ciphertext: Buffer.alloc(8192) };
    const recipients = Array<Recipient>(16).fill(largest);
    const generous = {
      ...keyring,
      generateDataKey: async () => ({ plaintext: randomBytes(32), recipients }),
    };
    expect((await generateDataKey(generous, { encryptionContext })).recipients).toEqual(recipients);
  });

  it("name the needed keys when the keyring has none of them", async () => {
    const recipients = [{ provider: "vault", keyId: "transit/a", ciphertext: Buffer.of(1) }];
    const error = await errorOf(() => unwrapDataKey(keyring, { recipients, encryptionContext }));
    expect(error).toEqual(coded("KEY_NOT_FOR_OBJECT", { recipients: ["vault transit/a"] }));
    expect(error.message).toContain("vault transit/a");
  });

  it("escape and truncate hostile key ids in messages", async () => {
    const keyId = `\u001b[31m\u202e\n${"x".repeat(1000)}`;
    const recipients = [{ provider: "vault", keyId, ciphertext: Buffer.of(1) }];
    const error = await errorOf(() => unwrapDataKey(keyring, { recipients, encryptionContext }));
    expect(error.message).toContain(String.raw`vault \u001b[31m\u202e\nxxx`);
    expect(error.message).toMatch(/^[\x20-\x7e]{1,400}$/);
  });

  const good = { provider: "p", keyId: "k", ciphertext: Buffer.of(1) };
  const key = () => randomBytes(32);
  it.each([
    [undefined, "keyring.generateDataKey: its result: expected an object, got undefined"],
    [{ recipients: [good] }, "keyring.generateDataKey: plaintext: expected a Uint8Array, got undefined"],
    [
      { plaintext: randomBytes(16), recipients: [good] },
      "keyring.generateDataKey: plaintext: expected 32 bytes, got 16",
    ],
    [
      { plaintext: new Uint8Array(32), recipients: [good] },
      "keyring.generateDataKey: plaintext: expected 32 random bytes, got zeros",
    ],
    [
      { plaintext: key(), recipients: [{ ...good, keyId: "a\ud800" }] },
      "keyring.generateDataKey: recipients[0].keyId: expected well-formed Unicode",
    ],
    [{ plaintext: key() }, "keyring.generateDataKey: recipients: expected an array, got undefined"],
    [{ plaintext: key(), recipients: [] }, "keyring.generateDataKey: recipients: expected 1 to 16, got 0"],
    [
      { plaintext: key(), recipients: Array(17).fill(good) },
      "keyring.generateDataKey: recipients: expected 1 to 16, got 17",
    ],
    [
      { plaintext: key(), recipients: [{ ...good, provider: "Big" }] },
      "keyring.generateDataKey: recipients[0].provider: expected 1 to 64 characters of a-z, 0-9 and -",
    ],
    [
      { plaintext: key(), recipients: [good, { ...good, ciphertext: Buffer.alloc(8193) }] },
      "keyring.generateDataKey: recipients[1].ciphertext: expected 1 to 8192 bytes",
    ],
    [
      { plaintext: key(), recipients: [{ ...good, keyId: "k".repeat(1025) }] },
      "keyring.generateDataKey: recipients[0].keyId: expected 1 to 1024 characters",
    ],
  ])("refuse a keyring that returns %j", async (result, message) => {
    const error = await errorOf(() =>
      generateDataKey({ ...keyring, generateDataKey: async () => result as never }, { encryptionContext }),
    );
    expect(error.message).toBe(message);
    expect(error).not.toMatchObject({ name: "EnvelopeError" });
  });

  it("refuse a keyring whose unwrapped bytes are no data key", async () => {
    const input = { recipients: [good], encryptionContext };
    for (const bad of ["key", undefined]) {
      const error = await errorOf(() =>
        unwrapDataKey({ ...keyring, unwrapDataKey: async () => bad as never }, input),
      );
      expect(error.message).toMatch(/^keyring\.unwrapDataKey: its result: expected/);
    }
    for (const short of [Buffer.alloc(31, 1), Buffer.alloc(33, 1)]) {
      const error = await errorOf(() =>
        unwrapDataKey({ ...keyring, unwrapDataKey: async () => short }, input),
      );
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expect(short).toEqual(Buffer.alloc(short.length));
    }
  });
});

describe("the input of a keyring", () => {
  const unused = { send: () => Promise.reject(new Error("must not be called")) } as unknown as KMSClient;
  const keyrings = { aesKeyring: keyring, kmsKeyring: kmsKeyring({ kms: unused, keyId: "k" }) };
  const inputs: [unknown, string][] = [
    [undefined, "input: expected an object, got undefined"],
    [{}, "input.encryptionContext: expected an object, got undefined"],
    [{ encryptionContext: 5 }, "input.encryptionContext: expected an object, got the number 5"],
    [
      { encryptionContext: new Map() },
      "input.encryptionContext: expected a plain object, got an instance of Map",
    ],
    [{ encryptionContext: { a: 1 } }, 'input.encryptionContext["a"]: expected a string, got the number 1'],
    [
      { encryptionContext: { a: "\ud800" } },
      'input.encryptionContext["a"]: expected well-formed Unicode, got a lone surrogate',
    ],
  ];
  it.each(Object.entries(keyrings))("is checked by %s", async (_, tested) => {
    for (const [input, message] of inputs) {
      const withRecipients = input && { recipients: [], ...(input as object) };
      expect((await errorOf(() => tested.generateDataKey(input as never))).message).toBe(message);
      expect((await errorOf(() => tested.unwrapDataKey(withRecipients as never))).message).toBe(message);
    }
    expect((await errorOf(() => tested.unwrapDataKey({ encryptionContext } as never))).message).toBe(
      "input.recipients: expected an array, got undefined",
    );
  });
});
