/** The keys of the in-process KMS: states, versions, aliases, and real AES-256-GCM under them. */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from "node:crypto";
import { ServiceError } from "../service.js";

/** The states of a key that this service knows. */
export type KeyState = "Enabled" | "Disabled" | "PendingDeletion";

/** One KMS key. */
export interface Key {
  readonly id: string;
  readonly arn: string;
  readonly description: string;
  readonly created: Date;
  state: KeyState;
  rotationEnabled: boolean;
  deletionDate: Date | undefined;
  /** Stored and returned, not enforced. */
  policy: string;
  readonly tags: Readonly<Record<string, string>>;
  /** The key material of each version; the last one encrypts, all decrypt. */
  readonly versions: Buffer[];
}

/** A name of a key. */
export interface Alias {
  /** Includes "alias/". */
  readonly name: string;
  readonly keyId: string;
  readonly created: Date;
  readonly updated: Date;
}

type Context = Readonly<Record<string, string>>;

const account = "111122223333";
/** Lets IAM decide who may use a key. */
const defaultPolicy = JSON.stringify({
  Version: "2012-10-17",
  Id: "key-default-1",
  Statement: [
    {
      Sid: "Enable IAM User Permissions",
      Effect: "Allow",
      Principal: { AWS: `arn:aws:iam::${account}:root` },
      Action: "kms:*",
      Resource: "*",
    },
  ],
});
const aliasForm = /^alias\/[A-Za-z0-9/_-]{1,250}$/;
const blobHeaderBytes = 1 + 16 + 2;
const ivBytes = 12;
const tagBytes = 16;

/** A KMS error with status 400, as most are. */
export function kmsFault(code: string, message?: string): ServiceError {
  return new ServiceError(400, code, message);
}

/** All keys and aliases of one Region. */
export class KeyStore {
  readonly #region: string;
  readonly #keys = new Map<string, Key>();
  readonly #aliases = new Map<string, Alias>();

  constructor(region: string) {
    this.#region = region;
  }

  get keys(): readonly Key[] {
    return [...this.#keys.values()];
  }

  get aliases(): readonly (Alias & { readonly arn: string })[] {
    return [...this.#aliases.values()].map((alias) => ({ ...alias, arn: this.#arn(alias.name) }));
  }

  /** @param policy KMS's default policy if undefined */
  create(description: string, policy: string | undefined, tags: Readonly<Record<string, string>>): Key {
    const id = randomUUID();
    const key: Key = {
      id,
      arn: this.#arn(`key/${id}`),
      description,
      created: new Date(),
      state: "Enabled",
      rotationEnabled: false,
      deletionDate: undefined,
      policy: policy ?? defaultPolicy,
      tags,
      versions: [randomBytes(32)],
    };
    this.#keys.set(id, key);
    return key;
  }

  /** The key that an id, key ARN, alias name or alias ARN stands for. */
  find(reference: string): Key {
    const after = (prefix: string) =>
      reference.startsWith(prefix) ? reference.slice(prefix.length) : reference;
    const name = after(this.#arn(""));
    if (name.startsWith("alias/")) {
      const key = this.#keys.get(this.#aliases.get(name)?.keyId ?? "");
      if (!key) throw this.#noAlias(name);
      return key;
    }
    const key = this.#keys.get(after(this.#arn("key/")));
    if (!key) throw kmsFault("NotFoundException", `Key '${reference}' does not exist`);
    return key;
  }

  /** The key that an id or key ARN stands for; operations that manage keys take no alias. */
  findKey(reference: string): Key {
    if (isAlias(reference)) throw kmsFault("NotFoundException", `Invalid keyId '${reference}'`);
    return this.find(reference);
  }

  /** A key that can be used now. */
  usable(reference: string): Key {
    return requireUsable(this.find(reference));
  }

  /** Creates an alias of a key, or moves an existing alias to another key. */
  setAlias(name: string, reference: string, existing: boolean): void {
    requireAliasName(name);
    if (isAlias(reference)) throw kmsFault("ValidationException", "Aliases must refer to keys. Not aliases");
    const { id, arn, state } = this.findKey(reference);
    if (state === "PendingDeletion") {
      throw kmsFault("KMSInvalidStateException", `${arn} is pending deletion.`);
    }
    const found = this.#aliases.get(name);
    if (existing && !found) throw this.#noAlias(name);
    if (!existing && found) {
      throw kmsFault("AlreadyExistsException", `An alias with the name ${this.#arn(name)} already exists`);
    }
    const updated = new Date();
    this.#aliases.set(name, { name, keyId: id, created: found?.created ?? updated, updated });
  }

  deleteAlias(name: string): void {
    requireAliasName(name);
    if (!this.#aliases.delete(name)) throw this.#noAlias(name);
  }

  /** Encrypts under the newest version. The blob names key and version for Decrypt. */
  encrypt(key: Key, plaintext: Uint8Array, context: Context): Buffer {
    const header = Buffer.alloc(blobHeaderBytes);
    header.writeUInt8(1);
    Buffer.from(key.id.replaceAll("-", ""), "hex").copy(header, 1);
    header.writeUInt16BE(key.versions.length - 1, 17);
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv("aes-256-gcm", key.versions.at(-1) ?? Buffer.alloc(0), iv);
    cipher.setAAD(Buffer.concat([header, additionalData(context)]));
    return Buffer.concat([header, iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** Decrypts a blob and returns its key; a key that the caller names must be the same. */
  decrypt(blob: Buffer, context: Context, reference: string | undefined): { key: Key; plaintext: Buffer } {
    const id = blob.toString("hex", 1, 17).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    const key = this.#keys.get(id);
    const version = blob.length >= blobHeaderBytes + ivBytes + tagBytes ? blob.readUInt16BE(17) : -1;
    const material = key?.versions[version];
    if (!key || !material || blob[0] !== 1) throw kmsFault("InvalidCiphertextException", "");
    if (reference !== undefined && this.find(reference) !== key) {
      throw kmsFault(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
      );
    }
    requireUsable(key);
    const iv = blob.subarray(blobHeaderBytes, blobHeaderBytes + ivBytes);
    const decipher = createDecipheriv("aes-256-gcm", material, iv, { authTagLength: tagBytes })
      .setAAD(Buffer.concat([blob.subarray(0, blobHeaderBytes), additionalData(context)]))
      .setAuthTag(blob.subarray(blob.length - tagBytes));
    try {
      const body = blob.subarray(blobHeaderBytes + ivBytes, blob.length - tagBytes);
      return { key, plaintext: Buffer.concat([decipher.update(body), decipher.final()]) };
    } catch {
      throw kmsFault("InvalidCiphertextException", "");
    }
  }

  #noAlias(name: string): ServiceError {
    return kmsFault("NotFoundException", `Alias ${this.#arn(name)} is not found.`);
  }

  #arn(resource: string): string {
    return `arn:aws:kms:${this.#region}:${account}:${resource}`;
  }
}

function isAlias(reference: string): boolean {
  return /(^|:)alias\//.test(reference);
}

function requireAliasName(name: string): void {
  if (!aliasForm.test(name)) {
    const message = `The alias name ${JSON.stringify(name.slice(0, 256))} is not "alias/" and up to 250 letters, digits, /, _ or -`;
    throw kmsFault("ValidationException", message);
  }
  // Reserved for keys that AWS manages.
  if (name.startsWith("alias/aws/")) throw kmsFault("NotAuthorizedException", "");
}

/** Throws if a key cannot be used now. */
export function requireUsable(key: Key): Key {
  const { arn, state } = key;
  if (state === "Disabled") throw kmsFault("DisabledException", `${arn} is disabled.`);
  if (state === "PendingDeletion") throw kmsFault("KMSInvalidStateException", `${arn} is pending deletion.`);
  return key;
}

function additionalData(context: Context): Buffer {
  const pairs = Object.entries(context).sort(([left], [right]) =>
    Buffer.compare(Buffer.from(left), Buffer.from(right)),
  );
  return Buffer.from(JSON.stringify(pairs));
}
