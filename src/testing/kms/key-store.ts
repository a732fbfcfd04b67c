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
  /** The key material of each version; the last one encrypts, all decrypt. */
  readonly versions: Buffer[];
}

type Context = Readonly<Record<string, string>>;

const account = "111122223333";
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
  readonly #aliases = new Map<string, string>();

  constructor(region: string) {
    this.#region = region;
  }

  get keys(): readonly Key[] {
    return [...this.#keys.values()];
  }

  get aliases(): readonly { readonly name: string; readonly arn: string; readonly keyId: string }[] {
    return [...this.#aliases].map(([name, keyId]) => ({ name, arn: this.#arn(name), keyId }));
  }

  create(description: string): Key {
    const id = randomUUID();
    const key: Key = {
      id,
      arn: this.#arn(`key/${id}`),
      description,
      created: new Date(),
      state: "Enabled",
      rotationEnabled: false,
      deletionDate: undefined,
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
    const id = name.startsWith("alias/") ? this.#aliases.get(name) : after(this.#arn("key/"));
    const key = id === undefined ? undefined : this.#keys.get(id);
    if (!key) throw kmsFault("NotFoundException", `Key '${reference}' does not exist`);
    return key;
  }

  /** The key that an id or key ARN stands for; operations that manage keys take no alias. */
  findKey(reference: string): Key {
    if (/(^|:)alias\//.test(reference)) throw kmsFault("NotFoundException", `Invalid keyId '${reference}'`);
    return this.find(reference);
  }

  /** A key that can be used now. */
  usable(reference: string): Key {
    return requireUsable(this.find(reference));
  }

  setAlias(name: string, reference: string, existing: boolean): void {
    if (!/^alias\/[A-Za-z0-9/_-]+$/.test(name) || name.startsWith("alias/aws/")) {
      throw kmsFault("ValidationException", "the alias name is malformed");
    }
    const { id, arn, state } = this.findKey(reference);
    if (state === "PendingDeletion") {
      throw kmsFault("KMSInvalidStateException", `${arn} is pending deletion.`);
    }
    if (existing && !this.#aliases.has(name))
      throw kmsFault("NotFoundException", `Alias ${name} is not found`);
    if (!existing && this.#aliases.has(name))
      throw kmsFault("AlreadyExistsException", `Alias ${name} exists`);
    this.#aliases.set(name, id);
  }

  deleteAlias(name: string): void {
    if (!this.#aliases.delete(name)) throw kmsFault("NotFoundException", `Alias ${name} is not found`);
  }

  /** Encrypts under the newest version. The blob names key and version, so that Decrypt finds them. */
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

  /** Decrypts a blob and tells the key; a key named by the caller must be that one. */
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

  #arn(resource: string): string {
    return `arn:aws:kms:${this.#region}:${account}:${resource}`;
  }
}

/** Throws when a key cannot be used now. */
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
