import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fieldNames } from "../../src/fields/field-names.js";
import { legacyFieldNames } from "../../src/fields/legacy-field-names.js";
import { putObjectNames } from "../../src/fields/sdk-names.js";
import * as main from "../../src/index.js";
import * as legacy from "../../src/legacy.js";
import { startLocalAws } from "../../src/testing/index.js";
import { readerOf } from "../s3ec-objects/support.js";
import { aesKeyringNode } from "../support/encryption-sdk.js";
import { coded, errorOf } from "../support/errors.js";
import { kek, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, keyring, useLocalAws, wrappingKey } from "../support/local.js";
import { requestsOfSdk } from "../support/sdk-requests.js";
import { storeSesMail } from "../support/ses-mail.js";

/** A list in the form that these tests read. */
interface List {
  readonly call: string;
  readonly argument: string;
  readonly accepted: readonly string[];
  readonly refused: Readonly<Record<string, string>>;
  readonly others: "none" | "capitals" | "any";
  readonly elsewhere: readonly {
    readonly call: string;
    readonly argument: string;
    readonly accepted: readonly string[];
  }[];
}
type Bag = Record<string, unknown>;

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "field-names-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const source = join(folder, "source");
writeFileSync(source, "plaintext");

/** The number of calls to any keyring. */
let asked = 0;
const counting: main.Keyring = {
  generateDataKey(input) {
    asked += 1;
    return keyring.generateDataKey(input);
  },
  unwrapDataKey(input) {
    asked += 1;
    return keyring.unwrapDataKey(input);
  },
};
afterEach(() => {
  asked = 0;
});

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const rsaKey = createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }));
const dataKey = wrappingKey;
const object = { Bucket, Key: "k" };
const legacyKeyring = legacy.legacyAesKeyring({ wrappingKey: kek });
// With retries: between two rows a connection may have been idle for too long.
const client = () => local.clientWith({ s3: local.aws.s3, keyring: counting });
const writer = (options: object = {}) =>
  new legacy.LegacyWriter({ s3: local.aws.s3, keyring: legacyKeyring, ...options });
const generating = { contentName: "AES/GCM/NoPadding", encryptionContext: {} };

/** Makes a call with these fields in one of its arguments, in addition to those that it needs. */
type Made = (fields: Bag) => unknown;
/** The name of the argument, for example "options". */
type Row = Readonly<Record<string, Made>>;

/** The first argument of a call, and its options. */
function inputAndOptions(
  needed: Bag | (() => Promise<Bag>),
  made: (input: never, options: never) => unknown,
): Row {
  const input = async () => (typeof needed === "function" ? await needed() : needed);
  return {
    input: async (fields) => made({ ...(await input()), ...fields } as never, {} as never),
    options: async (fields) => made((await input()) as never, fields as never),
  };
}

const sole = (needed: () => Bag, made: (options: never) => unknown): Row => ({
  options: (fields) => made({ ...needed(), ...fields } as never),
});

/** Every argument with named fields, by its call. */
const rows: Readonly<Record<string, Row>> = {
  client: sole(
    () => ({ s3: local.s3, keyring }),
    (options) => new main.EnvelopeClient(options),
  ),
  put: inputAndOptions({ ...object, Body: "plaintext" }, (...args) => client().put(...args)),
  get: inputAndOptions(object, (...args) => client().get(...args)),
  head: inputAndOptions(object, (...args) => client().head(...args)),
  open: inputAndOptions(object, (...args) => client().open(...args)),
  read: {
    options: async (fields) => {
      await client().put({ Bucket, Key: "opened", Body: "plaintext" });
      using opened = await client().open({ Bucket, Key: "opened" });
      local.operations();
      asked = 0;
      await opened.read(0, 1, fields as never);
    },
  },
  download: inputAndOptions({ ...object, filePath: join(folder, "target") }, (...args) =>
    client().download(...args),
  ),
  delete: inputAndOptions(object, (...args) => client().delete(...args)),
  upload: inputAndOptions({ ...object, filePath: source }, (...args) => client().upload(...args)),
  beginUpload: inputAndOptions({ ...object, plaintextLength: 9 }, (...args) => client().beginUpload(...args)),
  uploadPart: inputAndOptions({ ticket: {}, PartNumber: 1, filePath: source }, (...args) =>
    client().uploadPart(...args),
  ),
  completeUpload: inputAndOptions({ ticket: {}, parts: [] }, (...args) => client().completeUpload(...args)),
  abortUpload: inputAndOptions({ ticket: {} }, (...args) => client().abortUpload(...args)),
  listUploads: inputAndOptions({ Bucket }, async (...args) => {
    for await (const upload of client().listUploads(...args)) expect(upload).toBeDefined();
  }),
  abortUploads: inputAndOptions({ Bucket, olderThanMs: 0 }, (...args) => client().abortUploads(...args)),

  encrypt: sole(
    () => ({ dataKey }),
    (options) => main.encrypt([], options),
  ),
  decrypt: sole(
    () => ({ dataKey }),
    (options) => main.decrypt([], options),
  ),
  encryptDuplex: sole(
    () => ({ dataKey }),
    (options) => main.encryptDuplex(options),
  ),
  decryptDuplex: sole(
    () => ({ dataKey }),
    (options) => main.decryptDuplex(options),
  ),
  encryptTransformStream: sole(
    () => ({ dataKey }),
    (options) => main.encryptTransformStream(options),
  ),
  decryptTransformStream: sole(
    () => ({ dataKey }),
    (options) => main.decryptTransformStream(options),
  ),
  openRandomAccess: sole(
    () => ({ dataKey }),
    (options) => main.openRandomAccess({ length: 0, read: async () => Buffer.alloc(0) }, options),
  ),
  engine: sole(
    () => ({ maxWorkers: 0 }),
    (options) => new main.CryptoEngine(options),
  ),

  aesKeyring: sole(
    () => ({ keyId: "k", wrappingKey }),
    (options) => main.aesKeyring(options),
  ),
  kmsKeyring: sole(
    () => ({ kms: local.aws.kms, keyId: local.keyArn }),
    (options) => main.kmsKeyring(options),
  ),
  generateDataKey: {
    input: (fields) => keyring.generateDataKey({ encryptionContext: {}, ...fields } as never),
  },
  unwrapDataKey: {
    input: (fields) => keyring.unwrapDataKey({ recipients: [], encryptionContext: {}, ...fields } as never),
  },

  createS3Client: {
    options: (fields) => main.createS3Client({ region: "eu-central-1", ...fields }).destroy(),
    requestHandler: (fields) =>
      main.createS3Client({ region: "eu-central-1", requestHandler: fields as never }).destroy(),
  },
  agent: {
    agent: (fields) =>
      main
        .createS3Client({ region: "eu-central-1", requestHandler: { httpsAgent: fields } as never })
        .destroy(),
  },

  startLocalAws: {
    options: async (fields) => (await startLocalAws(fields as never)).close(),
    credentials: async (fields) => (await startLocalAws({ credentials: fields as never })).close(),
    tls: async (fields) => (await startLocalAws({ tls: fields as never })).close(),
  },
  fault: {
    fault: (fields) => local.aws.fault({ times: 0, ...fields } as never),
    corrupt: (fields) => local.aws.fault({ times: 0, corrupt: { offset: 0, xor: 1, ...fields } } as never),
  },
  hold: { hold: (fields) => local.aws.hold({ times: 0, ...fields } as never) },
};

const legacyRows: Readonly<Record<string, Row>> = {
  writer: sole(() => ({}), writer),
  put: inputAndOptions({ ...object, Body: "plaintext" }, (...args) => writer().put(...args)),
  delete: inputAndOptions(object, (...args) => writer().delete(...args)),
  reEncryptInstructionFile: inputAndOptions(
    { ...object, newKeyring: legacy.legacyAesKeyring({ wrappingKey, materialsDescription: { key: "new" } }) },
    (...args) => writer({ instructionFile: true }).reEncryptInstructionFile(...args),
  ),
  legacyReading: sole(
    () => ({ keyring: legacyKeyring }),
    (options) => legacy.legacyReading(options),
  ),
  decryptLegacyObject: {
    input: (fields) =>
      legacy.decryptLegacyObject({ Body: Buffer.alloc(0), ...fields } as never, { keyring: legacyKeyring }),
    options: (fields) =>
      legacy.decryptLegacyObject({ Body: Buffer.alloc(0) }, { keyring: legacyKeyring, ...fields } as never),
  },
  migrateObject: {
    ...inputAndOptions(object, (...args) => legacy.migrateObject(readerOf(local), ...args)),
    target: (fields) => legacy.migrateObject(readerOf(local), { ...object, target: fields as never }),
  },
  sesMailReading: sole(
    () => ({ kms: local.aws.kms }),
    (options) => legacy.sesMailReading(options),
  ),
  decryptSesMail: inputAndOptions(
    async () => ({ ...object, s3: local.s3, kms: local.aws.kms, keyId: local.keyArn }),
    (...args) => legacy.decryptSesMail(...args),
  ),

  legacyKmsKeyring: sole(
    () => ({ kms: local.aws.kms, keyId: local.keyArn }),
    (options) => legacy.legacyKmsKeyring(options),
  ),
  legacyAesKeyring: {
    options: (fields) => legacy.legacyAesKeyring({ wrappingKey, ...fields } as never),
    decryptionKey: (fields) =>
      legacy.legacyAesKeyring({
        wrappingKey,
        decryptionKeys: [{ wrappingKey, materialsDescription: { key: "old" }, ...fields }],
      }),
  },
  legacyRsaKeyring: {
    options: (fields) => legacy.legacyRsaKeyring({ privateKey: rsaKey, ...fields } as never),
    decryptionKey: (fields) =>
      legacy.legacyRsaKeyring({
        privateKey: rsaKey,
        decryptionKeys: [{ privateKey: rsaKey, materialsDescription: { key: "old" }, ...fields }],
      }),
  },
  generateDataKey: {
    input: (fields) => legacyKeyring.generateDataKey({ ...generating, ...fields } as never),
  },
  wrapDataKey: {
    input: (fields) => legacyKeyring.wrapDataKey?.(wrappingKey, { ...generating, ...fields } as never),
  },
  unwrapDataKey: {
    input: (fields) => legacyKeyring.unwrapDataKey({ ...generating, wrap: {}, ...fields } as never),
  },
  decryptEncryptionSdkMessage: sole(
    () => ({ keyring: aesKeyringNode() }),
    (options) => legacy.decryptEncryptionSdkMessage([], options),
  ),
};

function listsOf(
  names: object,
  made: Readonly<Record<string, Row>>,
): [title: string, list: List, made: Made][] {
  return Object.entries(names as Record<string, Record<string, List>>).flatMap(([name, lists]) =>
    Object.entries(lists).map(([argument, list]): [string, List, Made] => {
      const act = made[name]?.[argument];
      if (!act) throw new Error(`there is no row for ${name}.${argument}`);
      return [`${list.argument} of ${list.call}`, list, act];
    }),
  );
}
const all = [...listsOf(fieldNames, rows), ...listsOf(legacyFieldNames, legacyRows)];

/** Misspellings of a name that no other name resembles. */
function misspellings(name: string): string[] {
  const middle = Math.floor(name.length / 2);
  const [first = "", rest] = [name[0], name.slice(1)];
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").split(" ");
  return [
    first === first.toUpperCase() ? first.toLowerCase() + rest : first.toUpperCase() + rest,
    name.toUpperCase(),
    name.toLowerCase(),
    words.join("_"),
    words.join("-").toLowerCase(),
    ...(name.length < 3
      ? []
      : [
          name.slice(0, middle) + name.slice(middle + 1),
          `${name.slice(0, middle)}q${name.slice(middle)}`,
          name.slice(0, middle - 1) +
            name.slice(middle, middle + 1) +
            name[middle - 1] +
            name.slice(middle + 1),
        ]),
    ...(name.length < 6 ? [] : [`${name}xy`, `zz${name.slice(2)}`]),
  ];
}

const digits = (name: string) => name.replace(/\D/g, "");

async function expectRefused(act: () => unknown, message: RegExp): Promise<void> {
  const error = await errorOf(act);
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toMatch(message);
  expect(local.operations()).toEqual([]);
  expect(asked).toBe(0);
}

describe.each(all)("the %s", (_title, list, made) => {
  const known = [...list.accepted, ...Object.keys(list.refused)];
  const others = list.elsewhere.flatMap(({ accepted }) => accepted);

  it("refuses each known name that is misspelt or in the wrong argument, and proposes the right one", async () => {
    let tried = 0;
    for (const name of known) {
      for (const slip of misspellings(name)) {
        if (known.includes(slip) || others.includes(slip) || digits(slip) !== digits(name)) continue;
        tried += 1;
        await expectRefused(() => made({ [slip]: undefined }), /: it belongs in the |, did you mean [$\w]+/);
      }
    }
    expect(tried).toBeGreaterThan(known.length);
  });

  it(
    list.others === "any" ? "take what a later release may add" : "have no name that nobody knows",
    async () => {
      const act = () => made({ colourOfTheSky: "blue" });
      if (list.others !== "any") return expectRefused(act, /colourOfTheSky: .+ has no such (option|field)/);
      const error = await errorOf(async () => {
        await act();
        throw new Error("nothing was wrong");
      });
      expect(error.message).not.toContain("colourOfTheSky");
    },
  );

  it("proposes abortSignal for the name that other libraries have for it", async () => {
    const signal = new AbortController().signal;
    const isKnown = [...known, ...others].includes("abortSignal");
    if (!isKnown && list.others === "any") return;
    const message = isKnown
      ? /signal: .+, did you mean abortSignal/
      : /signal: .+ has no such (option|field)/;
    await expectRefused(() => made({ signal }), message);
  });

  it("names the argument to which a field of another argument or of the client belongs", async () => {
    for (const { call, argument, accepted } of list.elsewhere) {
      for (const name of accepted.filter((other) => !known.includes(other))) {
        const isElsewhereToo = list.elsewhere.some(
          (one) => one.argument !== argument && one.accepted.includes(name),
        );
        const place = isElsewhereToo ? "in the " : `in the ${argument} of ${call}`;
        await expectRefused(
          () => made({ [name]: "x" }),
          new RegExp(`${name.replace("$", "\\$")}: it belongs ${place}`),
        );
      }
    }
  });

  it("states the reason for each refused name", async () => {
    for (const [name, why] of Object.entries(list.refused)) {
      const error = await errorOf(() => made({ [name]: "x" }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(`${name}: ${why}`);
      expect(local.operations()).toEqual([]);
    }
  });
});

describe("a field of another request of the SDK", () => {
  const names = [...new Set([...requestsOfSdk().values()].flat())];
  const passing = all.filter(([, list]) => list.others === "capitals");

  it.each(passing)("is not mistaken for another name by the %s", async (_title, list, made) => {
    const elsewhere = list.elsewhere.flatMap(({ accepted }) => accepted);
    const known = [...list.accepted, ...Object.keys(list.refused), ...elsewhere];
    const mistaken: string[] = [];
    for (const name of names.filter((one) => !known.includes(one))) {
      // Refused for its value, before anything is sent, if its name passes.
      const first =
        list.argument === "target"
          ? { Key: 1 }
          : list.call === "decryptLegacyObject"
            ? { Body: 1 }
            : { Bucket: 1 };
      const error = await errorOf(() => made({ ...first, [name]: "x" }));
      if (!/^(Bucket|Key|Body): expected/.test(error.message)) mistaken.push(`${name}: ${error.message}`);
    }
    expect(mistaken).toEqual([]);
  });
});

describe("a field of a newer SDK reaches the request", () => {
  /** The inputs of the commands. */
  const inputs: Bag[] = [];
  let s3: S3Client;
  beforeAll(() => {
    s3 = new S3Client(local.aws.s3Config);
    s3.middlewareStack.add(
      (next) => (args) => {
        inputs.push(args.input as Bag);
        return next(args);
      },
      { step: "initialize" },
    );
  });
  afterAll(() => s3.destroy());
  afterEach(() => inputs.splice(0));

  const Newer = { NewerField: "x" } as object;
  const calls: Record<string, () => Promise<unknown>> = {
    put: () => local.clientWith({ s3 }).put({ ...object, Body: "x", ...Newer }),
    get: async () => (await local.clientWith({ s3 }).get({ ...object, ...Newer })).Body.destroy(),
    head: () => local.clientWith({ s3 }).head({ ...object, ...Newer }),
    open: async () => (await local.clientWith({ s3 }).open({ ...object, ...Newer })).close(),
    download: () =>
      local.clientWith({ s3 }).download({ ...object, filePath: join(folder, "newer"), ...Newer }),
    delete: () => local.clientWith({ s3 }).delete({ Bucket, Key: "gone", ...Newer }),
    upload: () => local.clientWith({ s3 }).upload({ ...object, filePath: source, ...Newer }),
    beginUpload: () => local.clientWith({ s3 }).beginUpload({ ...object, plaintextLength: 9, ...Newer }),
    "put of LegacyWriter": () => writer({ s3 }).put({ ...object, Body: "x", ...Newer }),
    "delete of LegacyWriter": () => writer({ s3 }).delete({ Bucket, Key: "gone", ...Newer }),
    decryptLegacyObject: async () => {
      const { body, metadata } = await writeLegacy(Buffer.from("x"), localShapes["115"]);
      const input = { Body: Readable.from([body]), Metadata: metadata, ETag: '"e"', $metadata: {}, ...Newer };
      const { Body } = await legacy.decryptLegacyObject(input, { keyring: legacyKeyring });
      expect(await Body.transformToString()).toBe("x");
      // Its input is a whole output, and it sends no request.
      inputs.push({ ...Newer });
    },
    migrateObject: async () => {
      const { body, metadata } = await writeLegacy(Buffer.from("x"), localShapes["115"]);
      await s3.send(new PutObjectCommand({ Bucket, Key: "old", Body: body, Metadata: metadata }));
      await legacy.migrateObject(readerOf(local, {}, { s3 }), {
        Bucket,
        Key: "old",
        target: { Key: "new", ...Newer },
      });
    },
    decryptSesMail: async () => {
      await storeSesMail(local.aws, local.keyArn, Bucket, "mail");
      await legacy.decryptSesMail({
        Bucket,
        Key: "mail",
        s3,
        kms: local.aws.kms,
        keyId: local.keyArn,
        ...Newer,
      });
    },
  };

  it.each(Object.entries(calls))("of %s", async (_call, act) => {
    await client().put({ ...object, Body: "x" });
    await act();
    expect(inputs).toContainEqual(expect.objectContaining(Newer));
  });

  it("of every call that has fields of the SDK", () => {
    const passing = all.filter(([, list]) => list.others === "capitals").map(([, list]) => list.call);
    expect(Object.keys(calls).sort()).toEqual(passing.sort());
  });
});

describe("an argument that is not a plain object", () => {
  const methods = (of: object) => Object.getOwnPropertyNames(of).filter((name) => name !== "constructor");
  const calls = [
    ...methods(main.EnvelopeClient.prototype).map((name) => ["EnvelopeClient", name] as const),
    ...methods(legacy.LegacyWriter.prototype).map((name) => ["LegacyWriter", name] as const),
  ];

  it.each(calls)("is refused by %s.%s, because inherited fields would be ignored", async (of, name) => {
    const made = (of === "EnvelopeClient"
      ? client()
      : writer({ instructionFile: true })) as unknown as Record<string, (...args: unknown[]) => unknown>;
    class Params {
      get encryptionContext() {
        return { tenant: "42" };
      }
    }
    for (const given of [new Params(), Object.create(object), new Map()]) {
      await expectRefused(() => made[name]?.(given), /^input: expected a plain object, got an instance of /);
      await expectRefused(
        () => made[name]?.(object, given),
        /^options: expected a plain object, got an instance of /,
      );
    }
  });
});

describe("every call", () => {
  it.each([
    ["EnvelopeClient", main.EnvelopeClient, Object.keys(rows)],
    ["LegacyWriter", legacy.LegacyWriter, Object.keys(legacyRows)],
  ])("of %s has a row in this test", (_name, { prototype }, names) => {
    const methods = Object.getOwnPropertyNames(prototype).filter((name) => name !== "constructor");
    expect(methods.filter((name) => !names.includes(name))).toEqual([]);
  });

  it("of the entry points with named fields has a row in this test", () => {
    const others = ["EnvelopeClient", "EnvelopeError", "LegacyWriter", "CryptoEngine"];
    const positional = ["ciphertextLength", "plaintextLength", "uploadPartRange"];
    const calls = { ...main, ...legacy };
    const named = Object.keys(calls).filter(
      (name) => typeof calls[name as keyof typeof calls] === "function",
    );
    const missing = named.filter(
      (name) => ![...others, ...positional].includes(name) && !(name in rows || name in legacyRows),
    );
    expect(missing).toEqual([]);
  });
});

describe("Object.prototype", () => {
  const prototype = Object.prototype as unknown as Bag;
  /** Runs a call while every object inherits this field. */
  async function inheriting<T>(name: string, value: unknown, act: () => Promise<T>): Promise<T> {
    try {
      prototype[name] = value;
      return await act();
    } finally {
      delete prototype[name];
    }
  }

  it('with unencrypted: "allow" does not make get return an object that is not encrypted', async () => {
    await local.aws.s3.send(new PutObjectCommand({ Bucket, Key: "plain", Body: "not encrypted" }));
    const error = await inheriting("unencrypted", "allow", () =>
      errorOf(() => client().get({ Bucket, Key: "plain" })),
    );
    expect(error).toEqual(coded("ENVELOPE_MISSING"));
  });

  it.each(["get", "open", "download"] as const)(
    'with encryptionContext: "any" does not make %s take any context',
    async (call) => {
      await client().put({ ...object, Body: "x", encryptionContext: { tenant: "42" } });
      const filePath = join(folder, `inherited-${call}`);
      const error = await inheriting("encryptionContext", "any", () =>
        errorOf(() => client()[call]({ ...object, ...(call === "download" && { filePath }) } as never)),
      );
      expect(error).toEqual(coded("CONTEXT_MISMATCH"));
      expect(readdirSync(folder)).not.toContain(`inherited-${call}`);
    },
  );

  it("with a field of any call changes no call, because a field that is not given is undefined in every argument", async () => {
    const names = [...new Set(all.flatMap(([, list]) => list.accepted))];
    const { fieldsArgument } = await import("../../src/fields/field-list.js");
    expect(names.length).toBeGreaterThan(150);
    for (const [, list] of all) {
      for (const name of list.accepted) {
        const given = await inheriting(name, "inherited", async () => {
          const { ...rest } = fieldsArgument<Bag>(list as never, {}) as Bag;
          return rest[name];
        });
        expect([list.call, name, given]).toEqual([list.call, name, undefined]);
      }
    }
  });

  // The last is taken out of the fields: the SDK looks for one of its own, and S3 refuses what it finds.
  const needed = ["Body", "Bucket", "Key", "ContentLength"];
  it.each(putObjectNames.filter((name) => !needed.includes(name)))(
    "with %s does not change what put sends",
    async (name) => {
      const sent = async () => {
        await client().put({ ...object, Body: "x" });
        return Object.keys(local.aws.requests.at(-1)?.headers ?? {}).filter((name) =>
          name.startsWith("x-amz"),
        );
      };
      const before = await sent();
      const now = await inheriting(name, name.endsWith("Days") || name.endsWith("Years") ? 1 : "x", sent);
      expect(now.sort()).toEqual(before.sort());
    },
  );
});
