/** The conformance server speaks the test protocol: requests reach the client, and refusals have the messages of the suite. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EnvelopeError } from "../../src/base/errors.js";
import { testBytes } from "../support/bytes.js";
import { type ConformanceServer, startConformanceServer } from "./conformance-server.js";
import type { LegacyPeerClient } from "./legacy-peer.js";
import { type ClientConfig, ProtocolClient } from "./protocol.js";

const config: ClientConfig = { keyMaterial: { kmsKeyId: "k" } };
const refusal = { kind: "S3EncryptionClientError" };
const fault = { kind: "GenericServerError" };

/** What the peer was asked for, and what it answers in place of a body. */
let asked: unknown[] = [];
let thrown: unknown;
let bytes: Uint8Array = Buffer.alloc(0);
let configs: ClientConfig[] = [];

const peerClient: LegacyPeerClient = {
  async put(...all) {
    answer(all);
  },
  async get(...all) {
    answer(all);
    return bytes;
  },
  async reencrypt(...all) {
    answer(all);
  },
};

function answer(all: unknown[]): void {
  asked = all;
  if (thrown !== undefined) throw thrown;
}

let server: ConformanceServer;
let client: ProtocolClient;
beforeAll(async () => {
  server = await startConformanceServer({
    async createClient(given) {
      configs.push(given);
      if (thrown !== undefined) throw thrown;
      return peerClient;
    },
  });
  client = new ProtocolClient(server.port);
});
afterEach(() => {
  thrown = undefined;
  configs = [];
});
afterAll(async () => {
  client.close();
  await server.close();
});

const legacyRefused = (option: string, wrap: string, content = "115") =>
  new EnvelopeError("LEGACY_REFUSED", "", { details: { option, wrap, content } });

/** Sends requests that the client would not send. */
async function raw(method: string, path: string, headers: Record<string, string>, body?: string) {
  const url = `http://127.0.0.1:${server.port}${path}`;
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
  return { status: response.status, headers: response.headers, json: (await response.json()) as object };
}

describe("what is asked for", () => {
  test("a client is made as the configuration says, and each has an id of its own", async () => {
    const full: ClientConfig = {
      keyMaterial: { rsaKey: "AA==", materialsDescription: { a: "b" } },
      enableLegacyUnauthenticatedModes: true,
      enableDelayedAuthenticationMode: false,
      enableLegacyWrappingAlgorithms: true,
      setBufferSize: 17,
      commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
      encryptionAlgorithm: "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
      instructionFileConfig: { enableInstructionFilePutObject: true, disableInstructionFile: false },
    };
    const ids = [await client.createClient(full), await client.createClient(config)];
    expect(new Set(ids).size).toBe(2);
    expect(configs).toEqual([full, config]);
  });

  test("fields that are null are not there", async () => {
    const keyMaterial = { kmsKeyId: "k", rsaKey: null, aesKey: null, materialsDescription: null };
    const body = { config: { keyMaterial, setBufferSize: null, instructionFileConfig: null } };
    const { status, json } = await raw("POST", "/client", {}, JSON.stringify(body));
    expect(status).toBe(200);
    expect(json).toEqual({ clientId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(configs).toEqual([config]);
  });

  test.each([0, 1, 100_000])("a put of %i bytes", async (length) => {
    const id = await client.createClient(config);
    const body = testBytes(length, 1);
    await client.put(id, "bucket", "a/b c%?#ü/..", body, { tenant: "42", 名前: "Ωμέγα 🙂 [x]" });
    expect(asked).toEqual([
      "bucket",
      "a/b c%?#ü/..",
      body,
      { context: { tenant: "42", 名前: "Ωμέγα 🙂 [x]" } },
    ]);
  });

  test.each([0, 1, 100_000])("a get of %i bytes", async (length) => {
    const id = await client.createClient(config);
    bytes = testBytes(length, 2);
    expect(await client.get(id, "bucket", "..")).toEqual(bytes);
    const none = { context: {}, range: undefined, instructionFileSuffix: undefined };
    expect(asked).toEqual(["bucket", "..", none]);
    const all = { context: { a: "" }, range: "bytes=10-1000", instructionFileSuffix: ".instruction-rsa" };
    await client.get(id, "bucket", "key", all);
    expect(asked).toEqual(["bucket", "key", all]);
  });

  test("a new wrap", async () => {
    const id = await client.createClient(config);
    const keyMaterial = { aesKey: "AA==", materialsDescription: { turn: "2" } };
    await client.reencrypt(id, "bucket", "key", { keyMaterial });
    const plain = { keyMaterial, instructionFileSuffix: undefined, enforceRotation: false };
    expect(asked).toEqual(["bucket", "key", plain]);
    const options = { instructionFileSuffix: "instruction-rsa", enforceRotation: true };
    await client.reencrypt(id, "bucket", "key", { keyMaterial, ...options });
    const all = { keyMaterial, instructionFileSuffix: ".instruction-rsa", enforceRotation: true };
    expect(asked).toEqual(["bucket", "key", all]);
  });

  test("the answers have the form of the protocol", async () => {
    const ClientID = await client.createClient(config);
    const put = await raw("PUT", "/object/b/k", { ClientID, "Content-Metadata": "" }, "x");
    expect(put).toMatchObject({ status: 200, json: { bucket: "b", key: "k", metadata: [] } });
    const headers = { ClientID, InstructionFileSuffix: "s", EnforceRotation: "true" };
    const anew = await raw("POST", "/object/b/k/reencrypt", headers, '{"aesKey":"AA=="}');
    const json = { bucket: "b", key: "k", instructionFileSuffix: "s", enforceRotation: true };
    expect(anew).toMatchObject({ status: 200, json });
    expect(anew.headers.get("content-type")).toBe("application/json");
  });
});

describe("refusals", () => {
  test.each([
    [
      "row 3 and row 4",
      new EnvelopeError("CONTEXT_MISMATCH", "of the library"),
      "Provided encryption context does not match information retrieved from S3",
    ],
    [
      "row 7",
      legacyRefused("enableLegacyWrappingAlgorithms", "kms"),
      "Enable legacy wrapping algorithms to use legacy key wrapping algorithm: kms",
    ],
    [
      "row 18",
      legacyRefused("enableLegacyWrappingAlgorithms", "RSA"),
      "Enable legacy wrapping algorithms to use legacy key wrapping algorithm: RSA",
    ],
    [
      "AES/CBC",
      legacyRefused("enableLegacyUnauthenticatedModes", "RSA", "AES/CBC/PKCS5Padding"),
      "Enable legacy unauthenticated modes to use legacy content decryption: AES/CBC/PKCS5Padding",
    ],
    [
      "a range",
      legacyRefused("enableLegacyUnauthenticatedModes", "RSA", "AES/GCM/NoPadding"),
      "Enable legacy unauthenticated modes to use Ranged Get.",
    ],
    ["another option", legacyRefused("commitmentPolicy", "RSA"), "LEGACY_REFUSED: commitmentPolicy"],
    ["any other code", new EnvelopeError("DECRYPTION_FAILED", "k"), "DECRYPTION_FAILED"],
    [
      "an argument",
      new RangeError('context["a"]: this name is reserved'),
      'context["a"]: this name is reserved',
    ],
  ])("%s", async (_, error, message) => {
    const id = await client.createClient(config);
    thrown = error;
    const keyMaterial = config.keyMaterial;
    const calls = [
      () => client.put(id, "b", "k", Buffer.alloc(1)),
      () => client.get(id, "b", "k"),
      () => client.reencrypt(id, "b", "k", { keyMaterial }),
      () => client.createClient(config),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ ...refusal, message });
    const { json, status } = await raw("GET", "/object/b/k", { ClientID: id });
    expect(status).toBe(500);
    expect(json).toEqual({ __type: "software.amazon.encryption.s3#S3EncryptionClientError", message });
  });

  test("rows 19 and 20: they are the same whatever the library says of the object", async () => {
    const id = await client.createClient(config);
    for (const code of ["DECRYPTION_FAILED", "ENVELOPE_MISSING", "LEGACY_REFUSED"] as const) {
      const messages = new Set<string>();
      for (const key of ["one", "two"]) {
        thrown = new EnvelopeError(code, `not ${key}`, { details: { key } });
        messages.add(
          await client
            .get(id, "b", key)
            .catch((error: Error) => error.message)
            .then(String),
        );
      }
      expect([...messages]).toEqual([code]);
    }
  });
});

describe("faults", () => {
  test.each([
    ["a mistake of the code", new TypeError("Cannot read properties of undefined (reading 'x')")],
    ["any other error", new Error("field: expected something")],
    ["no error at all", "text"],
  ])("%s is no refusal", async (_, error) => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    const id = await client.createClient(config);
    thrown = error;
    await expect(client.get(id, "b", "k")).rejects.toMatchObject(fault);
    expect(log).toHaveBeenCalledWith(error);
    log.mockRestore();
  });

  test("a client that nobody made is answered with 404", async () => {
    await expect(client.get("nobody", "b", "k")).rejects.toMatchObject(fault);
    const json = { __type: "software.amazon.encryption.s3#GenericServerError", message: "no such client" };
    const none: Record<string, string>[] = [{}, { ClientID: "nobody" }];
    for (const headers of none) {
      expect(await raw("GET", "/object/b/k", headers)).toMatchObject({ status: 404, json });
    }
  });

  test.each([
    ["POST", "/clients"],
    ["GET", "/client"],
    ["GET", "/object/b"],
    ["PUT", "/object/b/k/reencrypt"],
    ["POST", "/object/b/k/other"],
    ["DELETE", "/object/b/k"],
  ])("%s %s is no operation", async (method, path) => {
    const ClientID = await client.createClient(config);
    expect(await raw(method, path, { ClientID })).toMatchObject({ status: 404 });
  });

  test.each(["a:b", "[a]", "[a]:[b],", "[a]:[b],c", "[a]:[b],[a]:[b]", "[a:[b]"])(
    "the context %s is malformed",
    async (text) => {
      const ClientID = await client.createClient(config);
      asked = [];
      const answered = await raw("GET", "/object/b/k", { ClientID, "Content-Metadata": text });
      expect(answered).toMatchObject({ status: 500, json: { __type: expect.stringContaining("#Generic") } });
      expect(asked).toEqual([]);
    },
  );

  test.each([
    ["", "body: no JSON"],
    ["[]", "body: no object"],
    ["{}", "config: no object"],
    ['{"config":{}}', "keyMaterial: no object"],
    ['{"config":{"keyMaterial":{}}}', "keyMaterial: not one key"],
    ['{"config":{"keyMaterial":{"aesKey":"a","rsaKey":"b"}}}', "keyMaterial: not one key"],
    ['{"config":{"keyMaterial":{"aesKey":1}}}', "keyMaterial.aesKey: no string"],
    ['{"config":{"keyMaterial":{"aesKey":"a"},"other":1}}', "config.other: unknown"],
    ['{"config":{"keyMaterial":{"aesKey":"a"},"setBufferSize":"1"}}', "config.setBufferSize: no number"],
    [
      '{"config":{"keyMaterial":{"aesKey":"a","materialsDescription":{"a":1}}}}',
      "materialsDescription: not of strings",
    ],
  ])("the configuration %s is malformed", async (body, message) => {
    const answered = await raw("POST", "/client", {}, body);
    const json = { __type: "software.amazon.encryption.s3#GenericServerError", message };
    expect(answered).toMatchObject({ status: 500, json });
    expect(configs).toEqual([]);
  });

  test("a flag that is neither true nor false is malformed", async () => {
    const ClientID = await client.createClient(config);
    const headers = { ClientID, EnforceRotation: "yes" };
    const answered = await raw("POST", "/object/b/k/reencrypt", headers, '{"aesKey":"AA=="}');
    expect(answered).toMatchObject({
      status: 500,
      json: { message: "EnforceRotation: neither true nor false" },
    });
  });
});

test("a port that is taken is an error", async () => {
  await expect(startConformanceServer({ createClient: async () => peerClient }, server.port)).rejects.toThrow(
    "EADDRINUSE",
  );
});
