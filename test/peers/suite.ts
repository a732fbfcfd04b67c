/** Helpers for tests of the rows of the public suite: this library's server, and objects that it wrote. */
import { generateKeyPairSync } from "node:crypto";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll } from "vitest";
import { testBytes } from "../support/bytes.js";
import { Bucket, type Local, useLocalAws } from "../support/local.js";
import { type ConformanceServer, startConformanceServer } from "./conformance-server.js";
import { ourPeer } from "./ours/client.js";
import { type ClientConfig, type GetOptions, type KeyMaterial, ProtocolClient } from "./protocol.js";

/** Of a client, but for its keys. */
export type Settings = Omit<ClientConfig, "keyMaterial">;

/** How every refusal begins. */
export const refused = { kind: "S3EncryptionClientError" };
/** Of V2. */
export const v2: Settings = {
  commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT",
  encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
};
/** By the names of the reference. */
export const policies = {
  FEAD: v2,
  REAC: { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" },
  RERD: { commitmentPolicy: "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" },
  default: {},
} as const satisfies Record<string, Settings>;
/** With an instruction file. */
export const inFile: Settings = { instructionFileConfig: { enableInstructionFilePutObject: true } };
/** The RSA keys. */
export const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
/** The same as material. */
export const rsa = rsaMaterial(privateKey);
/** An AES key. */
export const aes: KeyMaterial = { aesKey: testBytes(32, 9).toString("base64") };
/** The plaintext of all objects. */
export const body = testBytes(300, 300);

/** As material of a client. */
export function rsaMaterial(key: typeof privateKey): KeyMaterial {
  return { rsaKey: key.export({ type: "pkcs8", format: "der" }).toString("base64") };
}

/** An object as S3 stores it. */
export interface Stored {
  body: Buffer;
  metadata: Record<string, string>;
}

/** The result of {@link useSuite}. */
export interface Suite {
  readonly local: Local;
  /** To the server. */
  readonly client: ProtocolClient;
  materials(): Record<"KMS" | "RSA" | "AES", KeyMaterial>;
  /** Writes the object "k". */
  put(keyMaterial: KeyMaterial, settings: Settings, context?: Record<string, string>): Promise<void>;
  /** Reads it. */
  get(keyMaterial: KeyMaterial, settings: Settings, options?: GetOptions): Promise<Buffer>;
  /** Changes the stored object. */
  change(key: string, edit: (stored: Stored) => void): Promise<void>;
  /** Changes the instruction file. */
  changeFile(edit: (fields: Record<string, string>) => void): Promise<void>;
}

/** Starts the server over an in-process AWS before the tests of a file, and stops it after them. */
export function useSuite(): Suite {
  const local = useLocalAws();
  let server: ConformanceServer;
  let client: ProtocolClient;
  beforeAll(async () => {
    server = await startConformanceServer(ourPeer(local.s3, local.aws.kms));
    client = new ProtocolClient(server.port);
  });
  afterAll(async () => {
    client.close();
    await server.close();
  });
  const change: Suite["change"] = async (key, edit) => {
    const { bytes, metadata } = await local.getRaw(key);
    const stored = { body: bytes, metadata };
    edit(stored);
    const place = { Bucket, Key: key };
    await local.s3.send(new PutObjectCommand({ ...place, Body: stored.body, Metadata: stored.metadata }));
  };
  return {
    local,
    get client() {
      return client;
    },
    materials: () => ({ KMS: { kmsKeyId: local.keyArn }, RSA: rsa, AES: aes }),
    async put(keyMaterial, settings, context = {}) {
      const id = await client.createClient({ keyMaterial, ...settings });
      await client.put(id, Bucket, "k", body, context);
    },
    async get(keyMaterial, settings, options = {}) {
      return client.get(await client.createClient({ keyMaterial, ...settings }), Bucket, "k", options);
    },
    change,
    changeFile: (edit) =>
      change("k.instruction", (stored) => {
        const fields = JSON.parse(stored.body.toString()) as Record<string, string>;
        edit(fields);
        stored.body = Buffer.from(JSON.stringify(fields));
      }),
  };
}
