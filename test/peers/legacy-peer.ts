/** The encryption client behind a conformance server. */
import type { ClientConfig, KeyMaterial } from "./protocol.js";

/** Makes clients. */
export interface LegacyPeer {
  /** Creates a client by its configuration. An invalid one is refused here or by the calls of the client. */
  createClient(config: ClientConfig): Promise<LegacyPeerClient>;
}

/** One client. What it throws, other than a caller's or the library's own kind of error, counts as a fault of the server. */
export interface LegacyPeerClient {
  /** Encrypts a body into an object. */
  put(bucket: string, key: string, body: Uint8Array, options: LegacyPeerPut): Promise<void>;
  /** Decrypts an object, or a range of it. */
  get(bucket: string, key: string, options: LegacyPeerGet): Promise<Uint8Array>;
  /** Wraps the data key of an object's instruction file anew. */
  reencrypt(bucket: string, key: string, options: LegacyPeerReencrypt): Promise<void>;
}

/** The parameters of a put. */
export interface LegacyPeerPut {
  /** Empty when none is stated: the protocol does not tell the two apart. */
  readonly context: Readonly<Record<string, string>>;
}

/** The parameters of a get. */
export interface LegacyPeerGet extends LegacyPeerPut {
  /** In the syntax of HTTP. */
  readonly range: string | undefined;
  /** With its dot. */
  readonly instructionFileSuffix: string | undefined;
}

/** The parameters of a rewrap. */
export interface LegacyPeerReencrypt {
  readonly keyMaterial: KeyMaterial;
  /** With its dot, which the protocol leaves out here. */
  readonly instructionFileSuffix: string | undefined;
  readonly enforceRotation: boolean;
}
