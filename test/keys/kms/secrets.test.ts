import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  AwsKmsMrkAwareSymmetricKeyringNode,
  type KeyringNode,
  KmsKeyringNode,
} from "@aws-crypto/client-node";
import { KMS } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EnvelopeError, kmsKeyring } from "../../../src/index.js";
import { legacyKmsKeyring } from "../../../src/legacy.js";
import { wraps } from "../../../src/s3ec/suites.js";
import { testBytes } from "../../support/bytes.js";
import { decryptMessage, writeMessage } from "../../support/encryption-sdk.js";
import { errorOf } from "../../support/errors.js";
import { useLocalAws } from "../../support/local.js";
import { shownPieces } from "../../support/secrets.js";

const local = useLocalAws();
const dataKey = testBytes(32, 1_234);
const base64 = dataKey.toString("base64");
const keyId = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const good = { KeyId: keyId, CiphertextBlob: "d3JhcHBlZA==", Plaintext: base64 };
const whole = JSON.stringify(good);
/** The same with the data key first, so that what is broken behind it has it in sight. */
const keyFirst = JSON.stringify({ Plaintext: base64, KeyId: keyId, CiphertextBlob: "d3JhcHBlZA==" });
const cutAt = (text: string, piece: string, more = 0) => text.slice(0, text.indexOf(piece) + more);

/** Responses that hold the data key, or most of it, and are of no use. */
const broken: [name: string, body: string, status?: number][] = [
  ["cut off in the middle of the key", cutAt(whole, base64, 30)],
  ["cut off before the quotation mark behind the key", cutAt(whole, base64, 44)],
  ["cut off behind the key", whole.slice(0, -1)],
  ["cut off behind the key, which comes first", cutAt(keyFirst, base64, 47)],
  ["with a line feed in the key", whole.replace(base64.slice(0, 20), `${base64.slice(0, 20)}\n`)],
  ["with a quotation mark in the key", whole.replace(base64.slice(0, 20), `${base64.slice(0, 20)}"`)],
  ["without the quotation mark before the key", whole.replace(`"${base64}`, base64)],
  ["with something behind it", `${whole}x`],
  ["with something before it", `x${keyFirst}`],
  ["twice", keyFirst + keyFirst],
  ["that is the key alone", base64],
  ["that is the key in quotation marks", JSON.stringify(base64)],
  ["whose key has characters that base64 has not", whole.replace(base64, `${base64.slice(0, 40)}!!!!`)],
  ["whose key is cut to no whole base64", whole.replace(base64, base64.slice(0, 41))],
  ["whose key is cut to 24 bytes", whole.replace(base64, base64.slice(0, 32))],
  ["whose key is in a list", JSON.stringify({ ...good, Plaintext: [base64] })],
  ["whose key is in an object", JSON.stringify({ ...good, Plaintext: { value: base64 } })],
  ["whose key is a list of numbers", JSON.stringify({ ...good, Plaintext: [...dataKey] })],
  ["whose wrapped key is a number", JSON.stringify({ Plaintext: base64, KeyId: keyId, CiphertextBlob: 7 })],
  ["whose wrapped key is an object", JSON.stringify({ Plaintext: base64, KeyId: keyId, CiphertextBlob: {} })],
  ["whose wrapped key is no base64", JSON.stringify({ ...good, CiphertextBlob: "!" })],
  ["whose key id is an object", JSON.stringify({ ...good, KeyId: { id: base64 } })],
  ["in a list", JSON.stringify([good])],
  ["with a status of the service's fault", whole, 500],
  ["with a status of the service's fault, cut off", cutAt(whole, base64, 30), 503],
  ["with a status of the caller's fault", keyFirst, 400],
  ["with a status of the caller's fault, and more behind it", `${keyFirst}x`, 400],
  ["with a status of a redirect", keyFirst, 307],
  ["in what is no HTTP", whole, 0],
];

let server: Server;
let response: { readonly body: string; readonly status: number };
let kms: KMS;

beforeAll(async () => {
  server = createServer((request, outgoing) => {
    request.resume().once("end", () => {
      if (response.status === 0) {
        // What Node's parser refuses.
        const lengths = "content-length: 1\r\ncontent-length: 2\r\n";
        request.socket.end(`HTTP/1.1 200 OK\r\n${lengths}\r\n${response.body}`);
        return;
      }
      outgoing
        .writeHead(response.status, { "content-type": "application/x-amz-json-1.1" })
        .end(response.body);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  kms = new KMS({ ...local.aws.kmsConfig, endpoint, maxAttempts: 1 });
});
afterAll(() => {
  kms.destroy();
  server.closeAllConnections();
  server.close();
});

const encryptionContext = { "s3-envelope": "v1 Cobblestone-256" };
const ciphertext = Buffer.from("wrapped");
const recipients = [{ provider: "aws-kms", keyId, ciphertext }];
const native = () => kmsKeyring({ kms, keyId });
const legacy = () => legacyKmsKeyring({ kms, keyId });

/** A message of the AWS Encryption SDK, written with a KMS that works and read with the one that does not. */
async function readMessage(make: (client: KMS, keyId: string) => KeyringNode): Promise<Buffer> {
  const working = new KMS(local.aws.kmsConfig);
  const message = await writeMessage(testBytes(10), { keyring: make(working, local.keyArn) });
  working.destroy();
  return decryptMessage(message, { keyring: make(kms, local.keyArn) });
}

const paths: [name: string, call: () => Promise<unknown>][] = [
  ["kmsKeyring, writing", () => native().generateDataKey({ encryptionContext })],
  ["kmsKeyring, reading", () => native().unwrapDataKey({ recipients, encryptionContext })],
  [
    "legacyKmsKeyring, writing",
    () => legacy().generateDataKey({ contentName: "AES/GCM/NoPadding", encryptionContext: {} }),
  ],
  [
    "legacyKmsKeyring, reading",
    () => {
      const wrapped = { wrap: wraps.kmsContext, wrappedKey: ciphertext, description: {} };
      return legacy().unwrapDataKey({ ...wrapped, contentName: "AES/GCM/NoPadding" });
    },
  ],
  [
    "a message under KmsKeyringNode",
    () =>
      readMessage(
        (client, generatorKeyId) => new KmsKeyringNode({ clientProvider: () => client, generatorKeyId }),
      ),
  ],
  [
    "a message under AwsKmsMrkAwareSymmetricKeyringNode",
    () => readMessage((client, id) => new AwsKmsMrkAwareSymmetricKeyringNode({ client, keyId: id })),
  ],
];

describe.each(paths)("the error of %s does not contain the data key", (_name, call) => {
  it.each(broken)("when the response of KMS is %s", async (_case, body, status = 200) => {
    response = { body, status };
    const error = await errorOf(call).catch(() => undefined);
    // A response that can be read after all is none of this.
    if (error === undefined) return;
    expect(error).toBeInstanceOf(EnvelopeError);
    expect(shownPieces(error, dataKey)).toEqual([]);
  });
});

describe("the search for the data key in an error", () => {
  const hidden: [name: string, make: (secret: Buffer) => unknown][] = [
    ["in the message", (secret) => new Error(secret.toString("base64"))],
    [
      "in a piece of 10 characters",
      (secret) => new Error(`..."${secret.toString("base64").slice(7, 17)}"...`),
    ],
    ["in a cause", (secret) => new Error("x", { cause: new Error("y", { cause: secret.toString("hex") }) })],
    [
      "in bytes",
      (secret) => Object.assign(new Error("x"), { $response: { body: { bytes: Buffer.from(secret) } } }),
    ],
    [
      "in a hidden property",
      (secret) => Object.defineProperty(new Error("x"), "$response", { value: [secret.toString("base64")] }),
    ],
    [
      "under a symbol, in a map",
      (secret) => ({ [Symbol("s")]: new Map([["a", secret.toString("latin1")]]) }),
    ],
    ["as numbers", (secret) => new Error([...secret].join())],
  ];
  it.each(hidden)("finds it %s", (_name, make) =>
    expect(shownPieces(make(dataKey), dataKey)).not.toEqual([]),
  );

  it("finds nothing in an error without it", () => {
    expect(shownPieces(new Error("x", { cause: testBytes(1_000, 4) }), dataKey)).toEqual([]);
  });
});
