/** Every call that accepts a body from its caller. */
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { type ByteSource, decrypt, encrypt, type PutBody } from "../../src/index.js";
import {
  decryptEncryptionSdkMessage,
  decryptLegacyObject,
  type LegacyKeyring,
  legacyAesKeyring,
} from "../../src/legacy.js";
import { collect, testBytes } from "../support/bytes.js";
import { aesKeyringNode, writeMessage } from "../support/encryption-sdk.js";
import { writerWith } from "../support/legacy-writer.js";
import { Bucket, keyring, type Local } from "../support/local.js";

/** A call that accepts a body. */
export interface Entry {
  readonly name: string;
  /** How the call reports an error of the source: as the cause of SOURCE_FAILED, or unchanged. */
  readonly failure: "cause" | "own";
  /** Whether the call accepts text, as UTF-8. */
  readonly takesText: boolean;
  /** The bytes of the source. */
  input(): Promise<Uint8Array>;
  /**
   * Makes the call.
   *
   * @param asked called during the call to the keyring, or before the first read if there is none; awaited
   * @returns the result for the source, to be compared with `output`
   */
  run(source: unknown, asked: () => Promise<void>): Promise<Uint8Array>;
  /** The result for the whole source. */
  readonly output: Uint8Array;
}

/** Long enough for several chunks and reads. */
export const plaintext = testBytes(100_000, 4);
const dataKey = testBytes(32, 9);

/** All entries, over an in-process AWS. */
export function entriesOf(local: Local): readonly Entry[] {
  const wrappingKey = testBytes(32, 5);
  const legacy = legacyAesKeyring({ wrappingKey });
  let legacyMetadata: Record<string, string> = {};
  const get = async (Key: string) => {
    const { Body } = await local.client.get({ Bucket, Key });
    return Body.transformToByteArray();
  };
  return [
    {
      name: "put",
      failure: "cause",
      takesText: true,
      input: async () => plaintext,
      output: plaintext,
      async run(source, asked) {
        const slow: typeof keyring = {
          ...keyring,
          async generateDataKey(input) {
            await asked();
            return keyring.generateDataKey(input);
          },
        };
        const client = local.clientWith({ keyring: slow, idleTimeoutMs: 10_000 });
        await client.put({ Bucket, Key: "k", Body: source as PutBody });
        return get("k");
      },
    },
    {
      name: "LegacyWriter.put",
      failure: "cause",
      takesText: true,
      input: async () => plaintext,
      output: plaintext,
      async run(source, asked) {
        const slow: LegacyKeyring = {
          ...legacy,
          async generateDataKey(input) {
            await asked();
            return legacy.generateDataKey(input);
          },
        };
        await writerWith(local, { keyring: slow }).put({ Bucket, Key: "k", Body: source as PutBody });
        const { Body, Metadata = {} } = await local.s3.send(new GetObjectCommand({ Bucket, Key: "k" }));
        const stored = (await Body?.transformToByteArray()) ?? new Uint8Array(0);
        const output = await decryptLegacyObject({ Body: stored, Metadata }, { keyring: legacy });
        return output.Body.transformToByteArray();
      },
    },
    {
      name: "decryptLegacyObject",
      failure: "cause",
      takesText: false,
      output: plaintext,
      async input() {
        await writerWith(local, { keyring: legacy }).put({ Bucket, Key: "legacy", Body: plaintext });
        const { bytes, metadata } = await local.getRaw("legacy");
        legacyMetadata = metadata;
        return bytes;
      },
      async run(source, asked) {
        const slow: LegacyKeyring = {
          ...legacy,
          async unwrapDataKey(input) {
            await asked();
            return legacy.unwrapDataKey(input);
          },
        };
        const output = await decryptLegacyObject(
          { Body: source as Uint8Array, Metadata: legacyMetadata },
          { keyring: slow },
        );
        return output.Body.transformToByteArray();
      },
    },
    {
      name: "encrypt",
      failure: "own",
      takesText: false,
      input: async () => plaintext,
      output: plaintext,
      async run(source, asked) {
        const pieces = encrypt(source as ByteSource, { dataKey });
        await asked();
        const message = await collect(pieces);
        return collect(decrypt(message, { dataKey }));
      },
    },
    {
      name: "decrypt",
      failure: "own",
      takesText: false,
      input: () => collect(encrypt(plaintext, { dataKey })),
      output: plaintext,
      async run(source, asked) {
        const pieces = decrypt(source as ByteSource, { dataKey });
        await asked();
        return collect(pieces);
      },
    },
    {
      name: "decryptEncryptionSdkMessage",
      failure: "cause",
      takesText: false,
      input: () => writeMessage(plaintext),
      output: plaintext,
      async run(source, asked) {
        const call = decryptEncryptionSdkMessage(source as ByteSource, { keyring: aesKeyringNode() });
        call.catch(() => undefined);
        await asked();
        const message = await call;
        return collect(message.plaintext);
      },
    },
  ];
}
