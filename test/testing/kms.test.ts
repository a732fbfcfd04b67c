/** The in-process KMS, through the SDK's own client. */
import { randomUUID } from "node:crypto";
import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  type GenerateDataKeyCommandInput,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateMacCommand,
  GetKeyPolicyCommand,
  GetKeyRotationStatusCommand,
  KMSClient,
  type KMSServiceException,
  ListAliasesCommand,
  ListKeyPoliciesCommand,
  ListKeysCommand,
  ListResourceTagsCommand,
  PutKeyPolicyCommand,
  paginateListAliases,
  paginateListKeys,
  ReEncryptCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";

let aws: LocalAws;
let kms: KMSClient;
beforeAll(async () => {
  aws = await startLocalAws();
  kms = new KMSClient({ ...aws.kmsConfig, maxAttempts: 1 });
});
afterEach(() => aws.clearRequests());
afterAll(async () => {
  kms.destroy();
  await aws.close();
});

const EncryptionContext = { bucket: "b", purpose: "tests: ä, 漢, 😀" };
const plaintext = testBytes(100, 1);

async function newKey(): Promise<{ id: string; arn: string }> {
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: "a key" }));
  return { id: KeyMetadata?.KeyId ?? "", arn: KeyMetadata?.Arn ?? "" };
}

async function encrypt(
  KeyId: string,
  context: Record<string, string> = EncryptionContext,
): Promise<Uint8Array> {
  const { CiphertextBlob = new Uint8Array() } = await kms.send(
    new EncryptCommand({ KeyId, Plaintext: plaintext, EncryptionContext: context }),
  );
  return CiphertextBlob;
}

async function failure(act: Promise<unknown>): Promise<string> {
  const error = (await errorOf(() => act)) as KMSServiceException;
  expect(error.$metadata?.httpStatusCode, error.name).toBe(400);
  return error.name;
}

const decrypt = (
  CiphertextBlob: Uint8Array,
  rest: { KeyId?: string; EncryptionContext?: Record<string, string> } = {},
) => kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext, ...rest }));

describe("data keys of the in-process KMS", () => {
  test.each([
    [{ KeySpec: "AES_256" }, 32],
    [{ KeySpec: "AES_128" }, 16],
    [{ NumberOfBytes: 1 }, 1],
    [{ NumberOfBytes: 1024 }, 1024],
  ] as [Partial<GenerateDataKeyCommandInput>, number][])("are generated with %j", async (spec, length) => {
    const { arn } = await newKey();
    const made = await kms.send(new GenerateDataKeyCommand({ KeyId: arn, EncryptionContext, ...spec }));
    expect(made.KeyId).toBe(arn);
    expect(made.Plaintext).toHaveLength(length);
    const opened = await decrypt(made.CiphertextBlob ?? new Uint8Array());
    expect(opened).toMatchObject({ KeyId: arn, EncryptionAlgorithm: "SYMMETRIC_DEFAULT" });
    expectBytes(opened.Plaintext ?? new Uint8Array(), made.Plaintext ?? testBytes(1));
  });

  test("differ each time, in plaintext and in blob", async () => {
    const { arn } = await newKey();
    const make = () => kms.send(new GenerateDataKeyCommand({ KeyId: arn, KeySpec: "AES_256" }));
    const [one, two] = [await make(), await make()];
    expect(one.Plaintext).not.toEqual(two.Plaintext);
    expect(one.CiphertextBlob).not.toEqual(two.CiphertextBlob);
  });

  test("are returned as a blob alone by GenerateDataKeyWithoutPlaintext, which decrypts", async () => {
    const { arn } = await newKey();
    const made = await kms.send(
      new GenerateDataKeyWithoutPlaintextCommand({ KeyId: arn, KeySpec: "AES_256", EncryptionContext }),
    );
    expect(made).not.toHaveProperty("Plaintext");
    expect(made.KeyId).toBe(arn);
    expect((await decrypt(made.CiphertextBlob ?? new Uint8Array())).Plaintext).toHaveLength(32);
  });
});

describe("Decrypt", () => {
  test("opens what Encrypt made, in any order of the context", async () => {
    const { arn } = await newKey();
    const opened = await decrypt(await encrypt(arn), {
      EncryptionContext: Object.fromEntries(Object.entries(EncryptionContext).reverse()),
    });
    expectBytes(opened.Plaintext ?? new Uint8Array(), plaintext);
  });

  test.each([
    ["no context", {}],
    ["another value", { ...EncryptionContext, bucket: "c" }],
    ["another case", { ...EncryptionContext, bucket: "B" }],
    ["one pair more", { ...EncryptionContext, more: "" }],
    ["one pair less", { bucket: "b" }],
    ["shifted quotes", { 'bucket","b"],["purpose': EncryptionContext.purpose }],
  ])("refuses %s", async (_, context) => {
    const { arn } = await newKey();
    const blob = await encrypt(arn);
    expect(await failure(decrypt(blob, { EncryptionContext: context as Record<string, string> }))).toBe(
      "InvalidCiphertextException",
    );
  });

  test("refuses a blob with any bit changed, cut off or added", async () => {
    const { arn } = await newKey();
    const blob = await encrypt(arn);
    const changed = [0, 1, 16, 17, 18, 19, 30, 31, 60, blob.length - 16, blob.length - 1].map((at) =>
      blob.map((byte, index) => (index === at ? byte ^ 1 : byte)),
    );
    const others = [
      blob.subarray(0, blob.length - 1),
      blob.subarray(0, 20),
      blob.subarray(0, 1),
      Buffer.concat([blob, Buffer.alloc(1)]),
      testBytes(200),
    ];
    for (const wrong of [...changed, ...others]) {
      expect(await failure(decrypt(wrong))).toBe("InvalidCiphertextException");
    }
    expectBytes((await decrypt(blob)).Plaintext ?? new Uint8Array(), plaintext);
  });

  test("requires the key that the caller names", async () => {
    const [mine, other] = [await newKey(), await newKey()];
    const blob = await encrypt(mine.arn);
    for (const KeyId of [other.arn, other.id]) {
      expect(await failure(decrypt(blob, { KeyId }))).toBe("IncorrectKeyException");
    }
    for (const KeyId of [mine.arn, mine.id]) {
      expectBytes((await decrypt(blob, { KeyId })).Plaintext ?? new Uint8Array(), plaintext);
    }
    expect(await failure(decrypt(blob, { KeyId: "alias/none" }))).toBe("NotFoundException");
  });
});

describe("the states of a KMS key", () => {
  const uses: [string, (KeyId: string, blob: Uint8Array) => Promise<unknown>][] = [
    ["GenerateDataKey", (KeyId) => kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" }))],
    [
      "GenerateDataKeyWithoutPlaintext",
      (KeyId) => kms.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec: "AES_256" })),
    ],
    ["Encrypt", (KeyId) => encrypt(KeyId)],
    ["Decrypt", (_, blob) => decrypt(blob)],
    [
      "ReEncrypt",
      (DestinationKeyId, CiphertextBlob) =>
        kms.send(
          new ReEncryptCommand({
            CiphertextBlob,
            SourceEncryptionContext: EncryptionContext,
            DestinationKeyId,
          }),
        ),
    ],
    ["EnableKeyRotation", (KeyId) => kms.send(new EnableKeyRotationCommand({ KeyId }))],
    ["RotateKeyOnDemand", (KeyId) => kms.send(new RotateKeyOnDemandCommand({ KeyId }))],
  ];

  test.each(uses)("%s needs an enabled key", async (_, use) => {
    const { arn: KeyId } = await newKey();
    const blob = await encrypt(KeyId);
    await kms.send(new DisableKeyCommand({ KeyId }));
    expect(await failure(use(KeyId, blob))).toBe("DisabledException");
    await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    expect(await failure(use(KeyId, blob))).toBe("KMSInvalidStateException");
    await kms.send(new CancelKeyDeletionCommand({ KeyId }));
    expect(await failure(use(KeyId, blob))).toBe("DisabledException");
    await kms.send(new EnableKeyCommand({ KeyId }));
    await use(KeyId, blob);
  });

  test.each(uses.filter(([name]) => name !== "Decrypt"))("%s needs a key that exists", async (_, use) => {
    const { arn } = await newKey();
    const blob = await encrypt(arn);
    for (const KeyId of ["00000000-0000-4000-8000-000000000000", `${arn.slice(0, -4)}0000`, "alias/none"]) {
      expect(await failure(use(KeyId, blob))).toBe("NotFoundException");
    }
  });

  test("are reported by DescribeKey", async () => {
    const { id, arn: KeyId } = await newKey();
    const describeKey = async () => (await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata;
    expect(KeyId).toBe(`arn:aws:kms:eu-central-1:111122223333:key/${id}`);
    expect(await describeKey()).toMatchObject({
      KeyId: id,
      Arn: KeyId,
      AWSAccountId: "111122223333",
      Description: "a key",
      Enabled: true,
      KeyState: "Enabled",
      KeySpec: "SYMMETRIC_DEFAULT",
      KeyUsage: "ENCRYPT_DECRYPT",
    });
    await kms.send(new DisableKeyCommand({ KeyId }));
    expect(await describeKey()).toMatchObject({ Enabled: false, KeyState: "Disabled" });
    const scheduled = await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    expect(scheduled).toMatchObject({ KeyId, KeyState: "PendingDeletion", PendingWindowInDays: 7 });
    const days = ((scheduled.DeletionDate?.getTime() ?? 0) - Date.now()) / 86_400_000;
    expect(days).toBeCloseTo(7, 2);
    expect(await describeKey()).toMatchObject({ Enabled: false, DeletionDate: scheduled.DeletionDate });
    await kms.send(new CancelKeyDeletionCommand({ KeyId }));
    const after = await describeKey();
    expect(after).toMatchObject({ Enabled: false, KeyState: "Disabled" });
    expect(after?.DeletionDate).toBeUndefined();
  });

  test("change only as KMS allows", async () => {
    const { arn: KeyId } = await newKey();
    expect(await failure(kms.send(new CancelKeyDeletionCommand({ KeyId })))).toBe("KMSInvalidStateException");
    for (const PendingWindowInDays of [6, 31]) {
      const schedule = kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays }));
      expect(await failure(schedule)).toBe("ValidationException");
    }
    const { PendingWindowInDays } = await kms.send(new ScheduleKeyDeletionCommand({ KeyId }));
    expect(PendingWindowInDays).toBe(30);
    for (const command of [
      () => kms.send(new EnableKeyCommand({ KeyId })),
      () => kms.send(new DisableKeyCommand({ KeyId })),
      () => kms.send(new ScheduleKeyDeletionCommand({ KeyId })),
    ]) {
      expect(await failure(command())).toBe("KMSInvalidStateException");
    }
  });
});

describe("KMS aliases", () => {
  test("name a key, in four forms", async () => {
    const { id, arn } = await newKey();
    const AliasName = "alias/four/ways-1_x";
    await kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: id }));
    const aliasArn = arn.replace(`key/${id}`, AliasName);
    const blob = await encrypt(AliasName);
    for (const KeyId of [id, arn, AliasName, aliasArn]) {
      expect((await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.Arn).toBe(arn);
      expect((await decrypt(blob, { KeyId })).KeyId).toBe(arn);
      const made = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" }));
      expect(made.KeyId).toBe(arn);
    }
    expect((await kms.send(new ListAliasesCommand({ KeyId: id }))).Aliases).toEqual([
      {
        AliasName,
        AliasArn: aliasArn,
        TargetKeyId: id,
        CreationDate: expect.any(Date),
        LastUpdatedDate: expect.any(Date),
      },
    ]);
    const keys = (await kms.send(new ListKeysCommand({}))).Keys;
    expect(keys).toContainEqual({ KeyId: id, KeyArn: arn });
  });

  test("are created, moved and deleted", async () => {
    const [one, two] = [await newKey(), await newKey()];
    const AliasName = "alias/moving";
    const target = async () =>
      (await kms.send(new DescribeKeyCommand({ KeyId: AliasName }))).KeyMetadata?.Arn;
    const update = (TargetKeyId: string) => kms.send(new UpdateAliasCommand({ AliasName, TargetKeyId }));
    const create = (TargetKeyId: string) => kms.send(new CreateAliasCommand({ AliasName, TargetKeyId }));
    const remove = () => kms.send(new DeleteAliasCommand({ AliasName }));
    expect(await failure(update(one.id))).toBe("NotFoundException");
    expect(await failure(remove())).toBe("NotFoundException");
    await create(one.arn);
    expect(await failure(create(one.id))).toBe("AlreadyExistsException");
    expect(await failure(create(two.id))).toBe("AlreadyExistsException");
    expect(await target()).toBe(one.arn);
    const blob = await encrypt(AliasName);
    await update(two.id);
    expect(await target()).toBe(two.arn);
    expect((await decrypt(blob)).KeyId).toBe(one.arn);
    expect(await failure(decrypt(blob, { KeyId: AliasName }))).toBe("IncorrectKeyException");
    await remove();
    expect(await failure(target())).toBe("NotFoundException");
    expect((await kms.send(new ListAliasesCommand({ KeyId: two.id }))).Aliases).toEqual([]);
  });

  test.each(["moving", "alias/", "alias/a b", "alias/ä"])("cannot be named %j", async (AliasName) => {
    const { id } = await newKey();
    const create = kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: id }));
    expect(await failure(create)).toBe("ValidationException");
  });
});

test("ReEncrypt moves a blob to another key and context", async () => {
  const [from, to] = [await newKey(), await newKey()];
  const CiphertextBlob = await encrypt(from.arn);
  const other = { moved: "yes" };
  const given = {
    CiphertextBlob,
    SourceEncryptionContext: EncryptionContext,
    DestinationKeyId: to.id,
    DestinationEncryptionContext: other,
  };
  const moved = await kms.send(new ReEncryptCommand(given));
  expect(moved).toMatchObject({ SourceKeyId: from.arn, KeyId: to.arn });
  const blob = moved.CiphertextBlob ?? new Uint8Array();
  const opened = await decrypt(blob, { KeyId: to.arn, EncryptionContext: other });
  expectBytes(opened.Plaintext ?? new Uint8Array(), plaintext);
  expect(await failure(decrypt(blob))).toBe("InvalidCiphertextException");
  for (const [wrong, name] of [
    [{ SourceKeyId: to.id }, "IncorrectKeyException"],
    [{ SourceEncryptionContext: other }, "InvalidCiphertextException"],
  ] as const) {
    expect(await failure(kms.send(new ReEncryptCommand({ ...given, ...wrong })))).toBe(name);
  }
});

test("rotation of a KMS key keeps old blobs readable and encrypts under new material", async () => {
  const { arn: KeyId } = await newKey();
  const status = async () => (await kms.send(new GetKeyRotationStatusCommand({ KeyId }))).KeyRotationEnabled;
  expect(await status()).toBe(false);
  await kms.send(new EnableKeyRotationCommand({ KeyId }));
  expect(await status()).toBe(true);
  await kms.send(new DisableKeyRotationCommand({ KeyId }));
  expect(await status()).toBe(false);
  const blobs = [await encrypt(KeyId)];
  for (let turn = 0; turn < 2; turn++) {
    await kms.send(new RotateKeyOnDemandCommand({ KeyId }));
    blobs.push(await encrypt(KeyId));
  }
  for (const blob of blobs) {
    expectBytes((await decrypt(blob, { KeyId })).Plaintext ?? new Uint8Array(), plaintext);
  }
  const newest = blobs[2] ?? new Uint8Array();
  // The version is part of the blob; under the first version's material the newest must not open.
  const relabelled = newest.map((byte, index) => (index === 18 ? 0 : byte));
  expect(relabelled).not.toEqual(newest);
  expect(await failure(decrypt(relabelled))).toBe("InvalidCiphertextException");
});

describe("the in-process KMS refuses", () => {
  const long = "x".repeat(6145);
  const cases: [string, (KeyId: string) => Promise<unknown>, string][] = [
    ["no KeySpec", (KeyId) => kms.send(new GenerateDataKeyCommand({ KeyId })), "ValidationException"],
    [
      "both KeySpec and NumberOfBytes",
      (KeyId) => kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256", NumberOfBytes: 32 })),
      "ValidationException",
    ],
    [
      "an unknown KeySpec",
      (KeyId) => kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_192" as "AES_128" })),
      "ValidationException",
    ],
    ...[0, -1, 1025, 1.5].map((NumberOfBytes): (typeof cases)[number] => [
      `${NumberOfBytes} bytes`,
      (KeyId) => kms.send(new GenerateDataKeyCommand({ KeyId, NumberOfBytes })),
      "ValidationException",
    ]),
    [
      "an empty KeyId",
      () => kms.send(new GenerateDataKeyCommand({ KeyId: "", KeySpec: "AES_256" })),
      "ValidationException",
    ],
    [
      "no KeyId",
      () => kms.send(new GenerateDataKeyCommand({ KeySpec: "AES_256" } as GenerateDataKeyCommandInput)),
      "ValidationException",
    ],
    [
      "a context that holds a number",
      (KeyId) =>
        kms.send(
          new GenerateDataKeyCommand({
            KeyId,
            KeySpec: "AES_256",
            EncryptionContext: { one: 1 } as unknown as Record<string, string>,
          }),
        ),
      "ValidationException",
    ],
    [
      "plaintext of 4097 bytes",
      (KeyId) => kms.send(new EncryptCommand({ KeyId, Plaintext: testBytes(4097) })),
      "ValidationException",
    ],
    [
      "empty plaintext",
      (KeyId) => kms.send(new EncryptCommand({ KeyId, Plaintext: new Uint8Array() })),
      "ValidationException",
    ],
    ["a blob of 6145 bytes", () => decrypt(Buffer.from(long)), "ValidationException"],
    ["an empty blob", () => decrypt(new Uint8Array()), "ValidationException"],
    [
      "an RSA key",
      () => kms.send(new CreateKeyCommand({ KeySpec: "RSA_2048" })),
      "UnsupportedOperationException",
    ],
    ...[{ MultiRegion: true }, { Origin: "EXTERNAL" } as const, { CustomKeyStoreId: "cks-1" }].map(
      (input): (typeof cases)[number] => [
        `a key with ${JSON.stringify(input)}`,
        () => kms.send(new CreateKeyCommand(input)),
        "UnsupportedOperationException",
      ],
    ),
    [
      "an operation that is not there",
      (KeyId) =>
        kms.send(new GenerateMacCommand({ KeyId, Message: plaintext, MacAlgorithm: "HMAC_SHA_256" })),
      "UnknownOperationException",
    ],
  ];
  test.each(cases)("%s", async (_, act, name) => {
    const { arn } = await newKey();
    expect(await failure(act(arn))).toBe(name);
  });

  test("no plaintext of the maximum size", async () => {
    const { arn: KeyId } = await newKey();
    const Plaintext = testBytes(4096);
    const { CiphertextBlob = new Uint8Array() } = await kms.send(new EncryptCommand({ KeyId, Plaintext }));
    expectBytes((await decrypt(CiphertextBlob, { EncryptionContext: {} })).Plaintext ?? plaintext, Plaintext);
  });
});

test("KMS requests are recorded in order, without plaintext and authorization", async () => {
  const { arn: KeyId } = await newKey();
  aws.clearRequests();
  const blob = await encrypt(KeyId);
  await decrypt(blob);
  await failure(decrypt(blob, { EncryptionContext: {} }));
  expect(aws.requests.map(({ operation, status }) => [operation, status])).toEqual([
    ["Encrypt", 200],
    ["Decrypt", 200],
    ["Decrypt", 400],
  ]);
  expect(aws.requests[0]).toMatchObject({ service: "kms", method: "POST", path: "/", query: {} });
  expect(aws.requests[0]?.input).toEqual({ KeyId, EncryptionContext });
  const CiphertextBlob = Buffer.from(blob).toString("base64");
  expect(aws.requests[1]?.input).toEqual({ CiphertextBlob, EncryptionContext });
  expect(aws.requests[2]?.input).toEqual({ CiphertextBlob, EncryptionContext: {} });
  expect(aws.requests[0]?.headers["x-amz-target"]).toBe("TrentService.Encrypt");
  const recorded = JSON.stringify(aws.requests);
  expect(recorded).not.toContain(plaintext.toString("base64"));
  expect(recorded).not.toMatch(/AWS4-HMAC-SHA256|authorization/i);
  expect(recorded).not.toContain(aws.kmsConfig.credentials.secretAccessKey);
});

test("KMS requests are recorded without the session token", async () => {
  const credentials = { ...aws.kmsConfig.credentials, sessionToken: "a-session-token" };
  const client = new KMSClient({ ...aws.kmsConfig, credentials, maxAttempts: 1 });
  await client.send(new ListKeysCommand({}));
  client.destroy();
  expect(aws.requests).toHaveLength(1);
  expect(JSON.stringify(aws.requests)).not.toContain("a-session-token");
});

describe("KMS lists", () => {
  test.each([1, 2, 100])("of keys and of aliases come in pages of %d", async (Limit) => {
    await using other = await startLocalAws();
    const ids: string[] = [];
    for (const name of ["c", "a", "b"]) {
      const { KeyMetadata } = await other.kms.send(new CreateKeyCommand({}));
      const TargetKeyId = KeyMetadata?.KeyId ?? "";
      ids.push(TargetKeyId);
      await other.kms.send(new CreateAliasCommand({ AliasName: `alias/${name}`, TargetKeyId }));
    }
    const keys: string[] = [];
    for await (const page of paginateListKeys({ client: other.kms, pageSize: Limit }, {})) {
      expect(page.Keys?.length).toBeLessThanOrEqual(Limit);
      keys.push(...(page.Keys ?? []).map(({ KeyId = "" }) => KeyId));
    }
    expect(keys).toEqual([...ids].sort());
    const names: string[] = [];
    for await (const page of paginateListAliases({ client: other.kms, pageSize: Limit }, {})) {
      expect(page.Truncated).toBe(page.NextMarker !== undefined);
      names.push(...(page.Aliases ?? []).map(({ AliasName = "" }) => AliasName));
    }
    expect(names).toEqual(["alias/a", "alias/b", "alias/c"]);
  });

  test("have 50 aliases in a page by default", async () => {
    await using other = await startLocalAws();
    const { KeyMetadata } = await other.kms.send(new CreateKeyCommand({}));
    for (let index = 0; index < 51; index++) {
      const input = { AliasName: `alias/${index}`, TargetKeyId: KeyMetadata?.KeyId };
      await other.kms.send(new CreateAliasCommand(input));
    }
    const { Aliases, Truncated } = await other.kms.send(new ListAliasesCommand({}));
    expect([Aliases?.length, Truncated]).toEqual([50, true]);
  });
});

describe("the description of a KMS key", () => {
  test("includes its algorithms", async () => {
    const { id: KeyId } = await newKey();
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }));
    expect(KeyMetadata).toMatchObject({
      KeySpec: "SYMMETRIC_DEFAULT",
      CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
      EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
    });
  });

  test("includes the policy: its own, the default, or a later one", async () => {
    const policyOf = async (KeyId: string | undefined) =>
      (await kms.send(new GetKeyPolicyCommand({ KeyId }))).Policy;
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [] });
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Policy }));
    expect(await policyOf(KeyMetadata?.KeyId)).toBe(Policy);
    const { id } = await newKey();
    expect(await policyOf(id)).toContain('"arn:aws:iam::111122223333:root"');
    await kms.send(new PutKeyPolicyCommand({ KeyId: id, Policy }));
    expect(await policyOf(id)).toBe(Policy);
    const { PolicyNames } = await kms.send(new ListKeyPoliciesCommand({ KeyId: id }));
    expect(PolicyNames).toEqual(["default"]);
  });

  test("includes its tags", async () => {
    const Tags = [{ TagKey: "team", TagValue: "data" }];
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Tags }));
    const told = await kms.send(new ListResourceTagsCommand({ KeyId: KeyMetadata?.KeyId }));
    expect([told.Tags, told.Truncated]).toEqual([Tags, false]);
  });
});

describe("what the in-process KMS does not support, or AWS does not allow,", () => {
  const refusals: [string, (key: { id: string; arn: string }) => Promise<unknown>, string][] = [
    [
      "a dry run",
      ({ arn }) => kms.send(new GenerateDataKeyCommand({ KeyId: arn, KeySpec: "AES_256", DryRun: true })),
      "UnsupportedOperationException",
    ],
    ["a page of no keys", () => kms.send(new ListKeysCommand({ Limit: 0 })), "ValidationException"],
    ["a page of too many keys", () => kms.send(new ListKeysCommand({ Limit: 1001 })), "ValidationException"],
    [
      "a page of too many aliases",
      () => kms.send(new ListAliasesCommand({ Limit: 101 })),
      "ValidationException",
    ],
    [
      "a marker that is none",
      () => kms.send(new ListAliasesCommand({ Marker: "x" })),
      "InvalidMarkerException",
    ],
    [
      "a key policy that is none",
      () => kms.send(new CreateKeyCommand({ Policy: "{}" })),
      "MalformedPolicyDocumentException",
    ],
    [
      "a policy of another name",
      ({ id }) => kms.send(new GetKeyPolicyCommand({ KeyId: id, PolicyName: "other" })),
      "NotFoundException",
    ],
    [
      "tags of one name",
      () =>
        kms.send(
          new CreateKeyCommand({
            Tags: [
              { TagKey: "a", TagValue: "b" },
              { TagKey: "a", TagValue: "c" },
            ],
          }),
        ),
      "TagException",
    ],
    ["an alias of AWS's own", ({ id }) => alias("alias/aws/s3", id), "NotAuthorizedException"],
    ["an alias without its prefix", ({ id }) => alias("backups", id), "ValidationException"],
    ["an alias with a colon", ({ id }) => alias("alias/a:b", id), "ValidationException"],
    ["an alias of 257 characters", ({ id }) => alias(`alias/${"x".repeat(251)}`, id), "ValidationException"],
    ["an alias of a key that is not there", () => alias("alias/none", randomUUID()), "NotFoundException"],
    [
      "an alias of an alias",
      async ({ id }) => {
        await alias(`alias/${id}`, id);
        return alias("alias/second", `alias/${id}`);
      },
      "ValidationException",
    ],
    [
      "an alias that is there",
      async ({ id }) => {
        await alias(`alias/${id}`, id);
        return alias(`alias/${id}`, id);
      },
      "AlreadyExistsException",
    ],
    [
      "another key for an alias that is not there",
      ({ id }) => kms.send(new UpdateAliasCommand({ AliasName: "alias/none", TargetKeyId: id })),
      "NotFoundException",
    ],
    [
      "the end of an alias that is not there",
      () => kms.send(new DeleteAliasCommand({ AliasName: "alias/none" })),
      "NotFoundException",
    ],
    [
      "the aliases of an alias",
      async ({ id }) => {
        await alias(`alias/${id}`, id);
        return kms.send(new ListAliasesCommand({ KeyId: `alias/${id}` }));
      },
      "NotFoundException",
    ],
    ["an alias that names no key, to encrypt", () => encrypt("alias/none"), "NotFoundException"],
    [
      "a key of another store",
      () => kms.send(new CreateKeyCommand({ CustomKeyStoreId: "cks-1234567890abcdef0" })),
      "UnsupportedOperationException",
    ],
    [
      "a rotation period",
      ({ arn }) => kms.send(new EnableKeyRotationCommand({ KeyId: arn, RotationPeriodInDays: 100 })),
      "UnsupportedOperationException",
    ],
    [
      "an algorithm of other keys to decrypt",
      async ({ arn }) =>
        kms.send(
          new DecryptCommand({
            CiphertextBlob: await encrypt(arn),
            EncryptionContext,
            EncryptionAlgorithm: "RSAES_OAEP_SHA_256",
          }),
        ),
      "InvalidKeyUsageException",
    ],
    [
      "an algorithm of other keys to encrypt",
      ({ arn }) =>
        kms.send(
          new EncryptCommand({ KeyId: arn, Plaintext: plaintext, EncryptionAlgorithm: "RSAES_OAEP_SHA_1" }),
        ),
      "InvalidKeyUsageException",
    ],
    ["a large context", ({ arn }) => encrypt(arn, { a: "x".repeat(8192) }), "ValidationException"],
    ["half a day", ({ arn }) => schedule(arn, 7.5), "ValidationException"],
    ["a key by part of its ARN", ({ id }) => encrypt(`key/${id}`), "NotFoundException"],
  ];
  test.each(refusals)("is refused: %s", async (_, act, code) => {
    const key = await newKey();
    expect(((await errorOf(() => act(key))) as KMSServiceException).name).toBe(code);
    expect(await encrypt(key.arn)).toBeInstanceOf(Uint8Array);
  });

  test("is refused: an alias for what manages keys, or to a key that is pending deletion", async () => {
    const { arn } = await newKey();
    const KeyId = "alias/managed";
    await kms.send(new CreateAliasCommand({ AliasName: KeyId, TargetKeyId: arn }));
    const name = async (act: () => Promise<unknown>) => ((await errorOf(act)) as KMSServiceException).name;
    for (const command of [
      new EnableKeyCommand({ KeyId }),
      new DisableKeyCommand({ KeyId }),
      new RotateKeyOnDemandCommand({ KeyId }),
      new EnableKeyRotationCommand({ KeyId }),
    ]) {
      expect(await name(() => kms.send(command as EnableKeyCommand))).toBe("NotFoundException");
    }
    expect(await name(() => schedule(KeyId, 7))).toBe("NotFoundException");
    await schedule(arn, 7);
    const another = new CreateAliasCommand({ AliasName: "alias/another", TargetKeyId: arn });
    expect(await name(() => kms.send(another))).toBe("KMSInvalidStateException");
  });

  test("is refused: the 26th rotation on demand", async () => {
    const { arn } = await newKey();
    const rotate = () => kms.send(new RotateKeyOnDemandCommand({ KeyId: arn }));
    for (let rotation = 0; rotation < 25; rotation++) await rotate();
    expect(((await errorOf(rotate)) as KMSServiceException).name).toBe("LimitExceededException");
  });

  const alias = (AliasName: string, TargetKeyId: string) =>
    kms.send(new CreateAliasCommand({ AliasName, TargetKeyId }));
  const schedule = (KeyId: string, PendingWindowInDays: number) =>
    kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays }));
});
