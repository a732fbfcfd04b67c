import { getEventListeners, once } from "node:events";
import { Readable } from "node:stream";
import { type EncryptedDataKey, KeyringNode, type NodeDecryptionMaterial } from "@aws-crypto/client-node";
import { describe, expect, it } from "vitest";
import { EnvelopeError } from "../../src/base/errors.js";
import {
  decryptEncryptionSdkMessage,
  type EncryptionSdkOptions,
} from "../../src/encryption-sdk/decrypt-message.js";
import { ExactReader } from "../../src/encryption-sdk/reader.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../support/bytes.js";
import { aesKeyringNode, committedSigned, readMessage, writeMessage } from "../support/encryption-sdk.js";
import { coded, errorOf } from "../support/errors.js";

const keyring = aesKeyringNode();
const reason = new Error("enough");

/** A promise and the function that resolves it. */
function gate() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}

/** A source that records how it ended. It yields the pieces, then waits for ever or ends. */
function watched(pieces: Iterable<Uint8Array>, { stalls = false } = {}) {
  const state = { read: 0, closed: false, waits: gate() };
  const iterator = pieces[Symbol.iterator]();
  const source: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => source,
    async next() {
      const result = iterator.next();
      if (!result.done) {
        state.read += 1;
        return result;
      }
      if (!stalls) return { done: true, value: undefined };
      state.waits.resolve();
      return new Promise<never>(() => undefined);
    },
    async return() {
      state.closed = true;
      return { done: true, value: undefined };
    },
  };
  return { source, state };
}

/** Waits until a source has been closed. */
const settled = () => new Promise(setImmediate);

describe("the source of a message", () => {
  it("a source that fails before it is read does not end the process", async () => {
    const failure = new Error("connection lost");
    const node = new Readable({ read() {} });
    let controller: ReadableStreamDefaultController | undefined;
    const web = new ReadableStream<Uint8Array>({
      start(to) {
        controller = to;
      },
    });
    for (const [source, fail] of [
      [web, () => controller?.error(failure)],
      [node, () => node.destroy(failure)],
    ] as const) {
      const reader = new ExactReader(source, undefined);
      fail();
      // Loading Amazon's package may take this long.
      await settled();
      const error = await errorOf(() => reader.take(1));
      expect(error).toEqual(coded("SOURCE_FAILED"));
      expect(error.cause).toBe(failure);
    }
  });

  it("a source of single bytes in large buffers does not keep the buffers in memory", async () => {
    const plaintext = testBytes(4096);
    const message = await writeMessage(plaintext, { frameLength: 4096 });
    let most = 0;
    async function* pieces() {
      for (const byte of message) {
        most = Math.max(most, process.memoryUsage().arrayBuffers);
        const large = new Uint8Array(256 * 1024);
        large[0] = byte;
        yield large.subarray(0, 1);
      }
    }
    const { released, error } = await readMessage(pieces());
    expect(error).toBeUndefined();
    expectBytes(released, plaintext);
    // Together the buffers have more than a gibibyte.
    expect(most).toBeLessThan(512 * 1024 * 1024);
  });

  it("the source is read as the plaintext is read", async () => {
    const message = await writeMessage(testBytes(10_000), { frameLength: 100 });
    const { source, state } = watched(cut(message, 64));
    const { plaintext } = await decryptEncryptionSdkMessage(source, { keyring });
    const opened = state.read;
    expect(opened).toBeLessThan(8);
    await plaintext.next();
    await settled();
    expect(state.read - opened).toBeLessThanOrEqual(4);
    expectBytes(await collect(plaintext), testBytes(10_000).subarray(100));
    expect(state.closed).toBe(false);
  });

  it("the source is closed when reading stops, also before the first read", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    for (const reads of [0, 1, 2]) {
      const { source, state } = watched(cut(message, 10));
      const { plaintext } = await decryptEncryptionSdkMessage(source, { keyring });
      for (let read = 0; read < reads; read++) await plaintext.next();
      await plaintext.return(undefined);
      await settled();
      expect(state.closed).toBe(true);
      expect(await plaintext.next()).toEqual({ done: true, value: undefined });
    }
  });

  it("a stream is destroyed or cancelled", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    const node = Readable.from(cut(message, 10));
    const first = await decryptEncryptionSdkMessage(node, { keyring });
    await first.plaintext.return(undefined);
    expect(node.destroyed).toBe(true);
    const cancelled = gate();
    const web = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(message.subarray(0, 700)),
      cancel: () => cancelled.resolve(),
    });
    const second = await decryptEncryptionSdkMessage(web, { keyring });
    await second.plaintext.return(undefined);
    await cancelled.promise;
  });

  it("the source is closed when the message cannot be decrypted", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    const broken = Buffer.from(message);
    const at = broken.length - 500;
    broken[at] = (broken[at] ?? 0) ^ 1;
    const failures: [Uint8Array, Partial<EncryptionSdkOptions>, string][] = [
      [testBytes(1000), {}, "ENVELOPE_INVALID"],
      [message, { encryptionContext: { a: "b" } }, "CONTEXT_MISMATCH"],
      [message, { keyring: aesKeyringNode("aes-key", 2) }, "DECRYPTION_FAILED"],
      [broken, {}, "DECRYPTION_FAILED"],
      [Buffer.concat([message, Buffer.alloc(50)]), {}, "ENVELOPE_INVALID"],
    ];
    for (const [bytes, options, code] of failures) {
      const { source, state } = watched(cut(bytes, 10));
      expect((await readMessage(source, options)).error).toMatchObject({ code });
      await settled();
      expect(state.closed, code).toBe(true);
    }
  });

  it("a source that fails is a SOURCE_FAILED error", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    const cause = new Error("the disk is gone");
    const own = new EnvelopeError("BODY_INTERRUPTED", "the body broke");
    for (const length of [0, 10, 700]) {
      const failing = async function* (error: Error) {
        yield message.subarray(0, length);
        throw error;
      };
      const { error } = await readMessage(failing(cause));
      expect(error).toEqual(coded("SOURCE_FAILED"));
      expect((error as Error).cause).toBe(cause);
      expect((await readMessage(failing(own))).error).toBe(own);
      expect((await readMessage(Readable.from(failing(cause)))).error).toEqual(coded("SOURCE_FAILED"));
    }
  });

  it("a source that yields no bytes, or is no source, is a TypeError", async () => {
    const pieces = ["text"] as unknown as Uint8Array[];
    expect((await readMessage(pieces)).error).toEqual(
      new TypeError("source: each piece: expected a Uint8Array, got a string"),
    );
    for (const source of ["text", 1, null, {}] as unknown as Uint8Array[]) {
      expect((await readMessage(source)).error).toBeInstanceOf(TypeError);
    }
  });
});

describe("aborting decryptEncryptionSdkMessage", () => {
  it("a signal that has already been aborted reads nothing and calls no keyring", async () => {
    const { source, state } = watched([]);
    const abortSignal = AbortSignal.abort(reason);
    expect(await errorOf(() => decryptEncryptionSdkMessage(source, { keyring, abortSignal }))).toBe(reason);
    await settled();
    expect(state).toMatchObject({ read: 0, closed: true });
  });

  it("an abort ends the wait for a header", async () => {
    const message = await writeMessage(testBytes(10));
    const { source, state } = watched([message.subarray(0, 20)], { stalls: true });
    const controller = new AbortController();
    const opening = errorOf(() =>
      decryptEncryptionSdkMessage(source, { keyring, abortSignal: controller.signal }),
    );
    await state.waits.promise;
    controller.abort(reason);
    expect(await opening).toBe(reason);
    expect(state.closed).toBe(true);
  });

  it("an abort ends the wait for a keyring that ignores it, and zeroes a late data key", async () => {
    const message = await writeMessage(testBytes(10));
    const controller = new AbortController();
    const slow = new SlowKeyring(() => controller.abort(reason));
    const { source, state } = watched(cut(message, 10));
    const input = { keyring: slow, abortSignal: controller.signal };
    expect(await errorOf(() => decryptEncryptionSdkMessage(source, input))).toBe(reason);
    await settled();
    expect(state.closed).toBe(true);
    slow.goOn.resolve();
    await settled();
    expect(slow.material?.hasUnencryptedDataKey).toBe(false);
  });

  it.each(["ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY", committedSigned])(
    "an abort ends the reading of the body: %s",
    async (suite) => {
      const message = await writeMessage(testBytes(1000), { suite, frameLength: 100 });
      const { source, state } = watched(cut(message.subarray(0, 900), 50), { stalls: true });
      const controller = new AbortController();
      const { plaintext } = await decryptEncryptionSdkMessage(source, {
        keyring,
        abortSignal: controller.signal,
      });
      const reading = collectUntilError(plaintext);
      await state.waits.promise;
      controller.abort(reason);
      expect((await reading).error).toBe(reason);
      await settled();
      expect(state.closed).toBe(true);
    },
  );

  it("an abort closes the source while nobody reads", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    const stream = Readable.from(cut(message, 50));
    const controller = new AbortController();
    const { plaintext } = await decryptEncryptionSdkMessage(stream, {
      keyring,
      abortSignal: controller.signal,
    });
    await plaintext.next();
    controller.abort(reason);
    await once(stream, "close");
    expect((await collectUntilError(plaintext)).error).toBe(reason);
  });

  it("no listener stays on the signal at the end", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    const controller = new AbortController();
    const { plaintext } = await decryptEncryptionSdkMessage(message, {
      keyring,
      abortSignal: controller.signal,
    });
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    expectBytes(await collect(plaintext), testBytes(1000));
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    controller.abort(reason);
    expect(await plaintext.next()).toEqual({ done: true, value: undefined });
  });
});

/** A keyring that unwraps when the test lets it. */
class SlowKeyring extends KeyringNode {
  readonly goOn = gate();
  material: NodeDecryptionMaterial | undefined;
  readonly #onAsked: () => void;
  constructor(onAsked: () => void) {
    super();
    this.#onAsked = onAsked;
  }
  override async _onEncrypt(): Promise<never> {
    throw new Error("not here");
  }
  override async _onDecrypt(material: NodeDecryptionMaterial, keys: EncryptedDataKey[]) {
    this.material = material;
    this.#onAsked();
    await this.goOn.promise;
    return aesKeyringNode().onDecrypt(material, keys);
  }
}

describe("the data key of a message", () => {
  it("the data key is zeroed at the end, after an error, and when reading stops", async () => {
    const message = await writeMessage(testBytes(1000), { frameLength: 100 });
    const broken = Buffer.concat([message, Buffer.alloc(1)]);
    for (const [bytes, reads] of [
      [message, Number.POSITIVE_INFINITY],
      [broken, Number.POSITIVE_INFINITY],
      [message, 1],
      [message, 0],
    ] as const) {
      const own = new SlowKeyring(() => own.goOn.resolve());
      const { plaintext } = await decryptEncryptionSdkMessage(bytes, { keyring: own });
      expect(own.material?.hasUnencryptedDataKey).toBe(true);
      if (reads === Number.POSITIVE_INFINITY) await collectUntilError(plaintext);
      for (let read = 0; read < Math.min(reads, 1); read++) await plaintext.next();
      await plaintext.return(undefined);
      expect(own.material?.hasUnencryptedDataKey).toBe(false);
    }
  });

  it("the data key is zeroed when the header is not authentic", async () => {
    const message = await writeMessage(testBytes(10));
    const at = message.length - (4 + 4 + 12 + 4 + 10 + 16) - 1;
    message[at] = (message[at] ?? 0) ^ 1;
    const own = new SlowKeyring(() => own.goOn.resolve());
    expect((await readMessage(message, { keyring: own })).error).toEqual(coded("DECRYPTION_FAILED"));
    expect(own.material?.hasUnencryptedDataKey).toBe(false);
  });
});

describe("options of decryptEncryptionSdkMessage", () => {
  const wrong: [name: string, options: unknown, message: RegExp][] = [
    ["none", undefined, /^options: expected an object, got undefined$/],
    ["no keyring", {}, /^options\.keyring: expected a keyring of @aws-crypto\/client-node, got undefined$/],
    ["a keyring of ours", { keyring: { unwrapDataKey() {} } }, /^options\.keyring: /],
    [
      "something like a keyring",
      { keyring: { onDecrypt() {} } },
      /^options\.keyring: .* installed beside s3-envelope, got an instance of Object$/,
    ],
    ["a context that is none", { encryptionContext: "none" }, /^options\.encryptionContext: /],
    ["a context of numbers", { encryptionContext: { a: 1 } }, /^options\.encryptionContext\["a"\]: /],
    [
      "the reserved context",
      { encryptionContext: { "aws-crypto-public-key": "x" } },
      /^options\.encryptionContext\["aws-crypto-public-key"\]: expected none/,
    ],
    ["no data keys", { maxEncryptedDataKeys: 0 }, /^options\.maxEncryptedDataKeys: /],
    ["a policy", { commitmentPolicy: "ALLOW" }, /^options\.commitmentPolicy: /],
    ["a limit", { maxBufferedMessageBytes: -1 }, /^options\.maxBufferedMessageBytes: /],
    ["a flag", { releasePlaintextBeforeSignature: 1 }, /^options\.releasePlaintextBeforeSignature: /],
    ["a signal", { abortSignal: {} }, /^options\.abortSignal: expected an AbortSignal, got /],
  ];
  it.each(wrong)("decryptEncryptionSdkMessage names a wrong option: %s", async (name, options, message) => {
    const all =
      /keyring|none$/.test(name) && !/context/.test(name) ? options : { keyring, ...(options as object) };
    const { source, state } = watched([]);
    const error = await errorOf(() => decryptEncryptionSdkMessage(source, all as EncryptionSdkOptions));
    expect(error.message).toMatch(message);
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect(state.read).toBe(0);
  });
});
