/** Freezes what peers write: `npx tsx test/peers/freeze.ts NAME...` makes a test/vectors/s3ec-NAME/VERSION.json. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CreateKeyCommand, DecryptCommand } from "@aws-sdk/client-kms";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { cacheDirectory } from "../servers/install.js";
import { testBytes } from "../support/bytes.js";
import type { Frozen, FrozenCase } from "./frozen.js";
import { contextOf, type KeyName, newKeys, type Writing, writerConfig, writings } from "./matrix.js";
import { type Peer, startPeer } from "./peer.js";
import { peers } from "./peers.js";
import { type ClientConfig, type KeyMaterial, ProtocolClient } from "./protocol.js";
import { readings } from "./readings.js";
import { type Variant, variantsOf } from "./variants.js";

const bucket = "frozen";
const suffix = ".instruction";

/** The inputs of a case. */
interface Stage {
  readonly aws: LocalAws;
  readonly peer: Peer;
  readonly client: ProtocolClient;
  readonly keys: Readonly<Record<KeyName, KeyMaterial>>;
  /** The key to wrap with again. */
  readonly nextKeys: Readonly<Record<KeyName, KeyMaterial>>;
}

const names = process.argv.slice(2);
for (const name of names) {
  const peer = peers.find((one) => one.name === name);
  if (!peer) throw new Error(`${name}: no such peer; there are ${peers.map((one) => one.name).join(", ")}`);
  await freeze(peer);
}

async function freeze(peer: Peer): Promise<void> {
  const folder = fileURLToPath(new URL(`../vectors/s3ec-${peer.name}`, import.meta.url));
  const file = `${folder}/${peer.version.split(" ").at(-1)}.json`;
  if (existsSync(file)) throw new Error(`${file} is there already, and a vector never changes`);
  await using aws = await startLocalAws({ region: "us-east-1", buckets: [bucket] });
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
  const kmsKeyId = KeyMetadata?.Arn ?? "";
  const running = await startPeer(await peer.install(cacheDirectory()), {
    s3: aws.s3Config,
    kms: aws.kmsConfig,
  });
  const client = new ProtocolClient(running.port);
  try {
    const stage = { aws, peer, client, keys: newKeys(kmsKeyId), nextKeys: newKeys(kmsKeyId) };
    const cases: FrozenCase[] = [];
    for (const writing of writings.filter(({ writer }) => writer === peer.name)) {
      for (const length of lengthsOf(writing)) cases.push(await freezeCase(stage, writing, length));
    }
    for (const variant of variantsOf(peer.name)) cases.push(await freezeVariant(stage, variant));
    const { nextKeys, keys } = stage;
    const frozen: Frozen = {
      keys: { ...keys, nextRsa2048: nextKeys.rsa2048, nextAes256: nextKeys.aes256 },
      cases,
    };
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, print(frozen));
    console.log(`${file}: ${cases.length} cases`);
  } finally {
    client.close();
    await running.stop();
  }
}

/** All that is special around a block for the usual keys, one length for the others. */
function lengthsOf({ key }: Writing): readonly number[] {
  return key === "aes128" || key === "aes192" ? [17] : [0, 1, 15, 16, 17, 300];
}

async function freezeCase(stage: Stage, writing: Writing, length: number): Promise<FrozenCase> {
  const { client, keys } = stage;
  const name = `${writing.name}-${length}`;
  const config = writerConfig(writing, keys);
  stage.aws.clearRequests();
  await client.put(
    await client.createClient(config),
    bucket,
    name,
    testBytes(length, length),
    contextOf(writing),
  );
  const frozen = await described(stage, writing, name, length, suffix);
  await requireReadable(stage, config, writing, frozen);
  return frozen;
}

async function freezeVariant(stage: Stage, variant: Variant): Promise<FrozenCase> {
  const { aws, client, keys, nextKeys } = stage;
  const { writing, reencrypt, note, moved, unreadable } = variant;
  const length = 17;
  const config = writerConfig(writing, keys);
  const id = await client.createClient(config);
  aws.clearRequests();
  await client.put(id, bucket, writing.name, testBytes(length, length), contextOf(writing));
  if (!reencrypt) {
    if (moved) await moveInstructionFile(aws, writing.name);
    const now: Writing = moved ? { ...writing, storage: "metadata" } : writing;
    const frozen = await described(stage, now, writing.name, length, suffix);
    const read = requireReadable(stage, config, now, frozen);
    if (!unreadable) await read;
    else if (
      await read.then(
        () => true,
        () => false,
      )
    )
      throw new Error(`${writing.name}: it is read after all`);
    return { ...frozen, ...(note === undefined ? {} : { note }) };
  }
  const keyMaterial = { ...nextKeys[reencrypt.key], materialsDescription: reencrypt.description };
  await client.reencrypt(id, bucket, writing.name, {
    keyMaterial,
    ...(reencrypt.suffix === undefined ? {} : { instructionFileSuffix: reencrypt.suffix }),
  });
  const written = reencrypt.suffix === undefined ? suffix : `.${reencrypt.suffix}`;
  const after = {
    ...writing,
    wrap: reencrypt.wrap,
    format: reencrypt.format,
    context: reencrypt.description,
  };
  const frozen = await described(stage, after, writing.name, length, written);
  const key = reencrypt.key === "rsa2048" ? "nextRsa2048" : "nextAes256";
  await requireReadable(stage, { ...config, keyMaterial }, after, frozen);
  return { ...frozen, key };
}

async function moveInstructionFile(aws: LocalAws, key: string): Promise<void> {
  const object = await stored(aws, key);
  const file = await stored(aws, `${key}${suffix}`);
  // One character for each byte, as Node sends them.
  const envelope = JSON.parse(file.body.toString("latin1")) as Record<string, string>;
  const place = { Bucket: bucket, Key: key };
  await aws.s3.send(
    new PutObjectCommand({ ...place, Body: object.body, Metadata: { ...object.metadata, ...envelope } }),
  );
}

/** An object as S3 stores it, after a comparison with the matrix. */
async function described(
  { aws, peer }: Stage,
  writing: Writing,
  name: string,
  length: number,
  instructionSuffix: string,
): Promise<FrozenCase> {
  const { storage, format, content, wrap, key, context, settings } = writing;
  const object = await stored(aws, name);
  const file = storage === "instruction" ? await stored(aws, `${name}${instructionSuffix}`) : undefined;
  const inFile = file && (JSON.parse(file.body.toString("utf8")) as Record<string, string>);
  const envelope = { ...object.metadata, ...inFile };
  const found = [
    envelope["x-amz-c"] ?? envelope["x-amz-cek-alg"],
    envelope["x-amz-w"] ?? envelope["x-amz-wrap-alg"],
  ];
  const expected = format === "V1" ? [undefined, undefined] : [content, wrap];
  const edk = envelope[{ V1: "x-amz-key", V2: "x-amz-key-v2", V3: "x-amz-3" }[format]];
  if (String(found) !== String(expected) || edk === undefined) {
    throw new Error(`${name} is not what the matrix says: ${JSON.stringify(envelope)}`);
  }
  return {
    name,
    client: [peer.version, ...Object.values(settings.peer ?? {})].join(", "),
    format,
    content,
    wrap,
    storage,
    key,
    context,
    plaintext: { length, seed: length },
    object: { body: object.body.toString("base64"), metadata: object.metadata },
    ...(file && {
      instructionFile: {
        suffix: instructionSuffix,
        body: file.body.toString("utf8"),
        metadata: file.metadata,
      },
    }),
    ...(key === "kms" && { dataKey: await dataKey(aws, edk) }),
  };
}

async function stored(
  aws: LocalAws,
  key: string,
): Promise<{ body: Buffer; metadata: Record<string, string> }> {
  const { Body, Metadata = {} } = await aws.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return { body: Buffer.from((await Body?.transformToByteArray()) ?? []), metadata: Metadata };
}

/** The response of KMS for the data key, under the context of the request. */
async function dataKey(aws: LocalAws, ciphertextBlob: string): Promise<NonNullable<FrozenCase["dataKey"]>> {
  const asked = aws.requests.filter(({ operation }) => operation === "GenerateDataKey");
  const encryptionContext = asked[0]?.input?.EncryptionContext as Record<string, string>;
  const blob = Buffer.from(ciphertextBlob, "base64");
  const { Plaintext = new Uint8Array() } = await aws.kms.send(
    new DecryptCommand({ CiphertextBlob: blob, EncryptionContext: encryptionContext }),
  );
  return { ciphertextBlob, encryptionContext, plaintext: Buffer.from(Plaintext).toString("base64") };
}

/** Asserts that the client that wrote a case can read it. */
async function requireReadable(
  { client, peer }: Stage,
  config: ClientConfig,
  writing: Writing,
  frozen: FrozenCase,
): Promise<void> {
  const { name, plaintext, instructionFile } = frozen;
  const legacy = readings.find(({ reader }) => reader === peer.name)?.settings;
  const id = await client.createClient({ ...legacy, ...config });
  const got = await client.get(id, bucket, name, {
    context: contextOf(writing),
    ...(instructionFile && { instructionFileSuffix: instructionFile.suffix }),
  });
  if (!got.equals(testBytes(plaintext.length, plaintext.seed)))
    throw new Error(`${name}: read as something else`);
}

/** Each case is one line. */
function print({ keys, cases }: Frozen): string {
  const list = cases.map((one) => `    ${JSON.stringify(one)}`).join(",\n");
  return `{\n  "keys": ${JSON.stringify(keys)},\n  "cases": [\n${list}\n  ]\n}\n`;
}
