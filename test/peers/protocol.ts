/** A client of the S3EC cross-language test protocol, which every peer speaks. */
import { Agent, type IncomingHttpHeaders, request } from "node:http";

/** The keys that a client works with: one kind of them. */
export interface KeyMaterial {
  /** PKCS #8, DER, in base64. */
  readonly rsaKey?: string;
  /** The raw bytes in base64. */
  readonly aesKey?: string;
  readonly kmsKeyId?: string;
  readonly materialsDescription?: Readonly<Record<string, string>>;
}

/** The options of a client. An absent field has the default of the peer. */
export interface ClientConfig {
  readonly keyMaterial: KeyMaterial;
  readonly enableLegacyUnauthenticatedModes?: boolean;
  readonly enableDelayedAuthenticationMode?: boolean;
  readonly enableLegacyWrappingAlgorithms?: boolean;
  readonly setBufferSize?: number;
  readonly commitmentPolicy?:
    | "FORBID_ENCRYPT_ALLOW_DECRYPT"
    | "REQUIRE_ENCRYPT_ALLOW_DECRYPT"
    | "REQUIRE_ENCRYPT_REQUIRE_DECRYPT";
  readonly encryptionAlgorithm?:
    | "ALG_AES_256_CBC_IV16_NO_KDF"
    | "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"
    | "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY";
  readonly instructionFileConfig?: {
    readonly enableInstructionFilePutObject?: boolean;
    readonly disableInstructionFile?: boolean;
  };
  /** What the public protocol has no field for; each peer knows its own. */
  readonly peer?: Readonly<Record<string, string>>;
}

/** The options of a read. */
export interface GetOptions {
  readonly context?: Readonly<Record<string, string>>;
  readonly range?: string;
  /** With its dot. */
  readonly instructionFileSuffix?: string;
}

/** The options of a new instruction file. */
export interface ReencryptOptions {
  readonly keyMaterial: KeyMaterial;
  /** Without a dot. */
  readonly instructionFileSuffix?: string;
  readonly enforceRotation?: boolean;
}

/** A refusal by the encryption client, which tests expect, or by the server around it, which fails the test. */
export class PeerError extends Error {
  readonly kind: "S3EncryptionClientError" | "GenericServerError";

  constructor(kind: PeerError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Connects to the peer at a loopback port. */
export class ProtocolClient {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(port: number) {
    this.#port = port;
  }

  /** Creates a client in the peer and returns its id. */
  async createClient(config: ClientConfig): Promise<string> {
    const { body } = await this.#send("POST", "/client", {}, Buffer.from(JSON.stringify({ config })));
    const { clientId } = JSON.parse(body.toString()) as { clientId: string };
    return clientId;
  }

  /** Encrypts bytes into an object by a client of the peer. */
  async put(
    clientId: string,
    bucket: string,
    key: string,
    body: Uint8Array,
    context: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const headers = { ClientID: clientId, "Content-Metadata": encodeContext(context) };
    await this.#send("PUT", objectPath(bucket, key), headers, body);
  }

  /** Decrypts an object by a client of the peer and returns its bytes. */
  async get(clientId: string, bucket: string, key: string, options: GetOptions = {}): Promise<Buffer> {
    const headers = {
      ClientID: clientId,
      "Content-Metadata": encodeContext(options.context ?? {}),
      ...(options.range === undefined ? {} : { Range: options.range }),
      ...(options.instructionFileSuffix === undefined
        ? {}
        : { InstructionFileSuffix: options.instructionFileSuffix }),
    };
    const answer = await this.#send("GET", objectPath(bucket, key), headers);
    if (answer.headers["content-metadata"] === undefined) {
      throw new PeerError("GenericServerError", "the answer has no Content-Metadata");
    }
    return answer.body;
  }

  /** Wraps the key in an object's instruction file under another key by a client of the peer. */
  async reencrypt(clientId: string, bucket: string, key: string, options: ReencryptOptions): Promise<void> {
    const { keyMaterial, instructionFileSuffix, enforceRotation = false } = options;
    const headers = {
      ClientID: clientId,
      EnforceRotation: String(enforceRotation),
      ...(instructionFileSuffix === undefined ? {} : { InstructionFileSuffix: instructionFileSuffix }),
    };
    const body = Buffer.from(JSON.stringify(keyMaterial));
    await this.#send("POST", `${objectPath(bucket, key)}/reencrypt`, headers, body);
  }

  /** Closes the connections. */
  close(): void {
    this.#agent.destroy();
  }

  #send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: Uint8Array,
  ): Promise<{ headers: IncomingHttpHeaders; body: Buffer }> {
    const place = { host: "127.0.0.1", port: this.#port, agent: this.#agent };
    const length = body === undefined ? {} : { "Content-Length": String(body.length) };
    return new Promise((resolve, reject) => {
      const sent = request({ ...place, method, path, headers: { ...headers, ...length } }, (response) => {
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.once("error", reject);
        response.once("end", () => {
          const whole = Buffer.concat(pieces);
          if (response.statusCode === 200) resolve({ headers: response.headers, body: whole });
          else reject(describedError(response.statusCode, whole.toString()));
        });
      });
      sent.once("error", reject);
      sent.end(body);
    });
  }
}

function describedError(status: number | undefined, text: string): PeerError {
  try {
    const { __type = "", message = "" } = JSON.parse(text) as { __type?: string; message?: string };
    const isRefusal = status === 500 && __type.endsWith("#S3EncryptionClientError");
    return new PeerError(isRefusal ? "S3EncryptionClientError" : "GenericServerError", message);
  } catch {
    return new PeerError("GenericServerError", `${status}: ${text.slice(0, 500)}`);
  }
}

function objectPath(bucket: string, key: string): string {
  return `/object/${encodeURIComponent(bucket)}/${encodeURIComponent(key)}`;
}

/** `[k]:[v],[k]:[v]`, its UTF-8 bytes as they are: a header holds bytes, which Node takes as Latin-1. */
function encodeContext(context: Readonly<Record<string, string>>): string {
  const text = Object.entries(context).map(([name, value]) => `[${name}]:[${value}]`);
  return Buffer.from(text.join(",")).toString("latin1");
}
