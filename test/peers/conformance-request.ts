/** Parses requests of the test protocol strictly, since a test that is misread proves nothing. */
import type { IncomingMessage } from "node:http";
import type { ClientConfig, KeyMaterial } from "./protocol.js";

/** A request that the server refuses, as opposed to the encryption client. */
export class BadRequest extends Error {}

type Fields = Readonly<Record<string, unknown>>;

/** The value of a header in UTF-8, which Node decodes as Latin-1. */
export function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return value === undefined ? undefined : Buffer.from(String(value), "latin1").toString("utf8");
}

/** `[k]:[v],[k]:[v]`; absent and empty are the same. */
export function contextHeader(request: IncomingMessage): Record<string, string> {
  const text = headerOf(request, "Content-Metadata") ?? "";
  const pairs = (text === "" ? [] : text.split(",")).map((entry) => {
    const [, name, value] = /^\[(.*?)\]:\[(.*)\]$/s.exec(entry) ?? [];
    if (name === undefined || value === undefined) throw new BadRequest("malformed Content-Metadata");
    return [name, value] as const;
  });
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) {
    throw new BadRequest("Content-Metadata has a name twice");
  }
  return Object.fromEntries(pairs);
}

/** A header that is true, false or absent, which is false. */
export function booleanHeader(request: IncomingMessage, name: string): boolean {
  const text = headerOf(request, name)?.toLowerCase() ?? "false";
  if (text !== "true" && text !== "false") throw new BadRequest(`${name}: neither true nor false`);
  return text === "true";
}

/** Parses a body of `{"config": ...}`. Fields that are null count as absent. */
export function configOf(body: Uint8Array): ClientConfig {
  const config = fieldsOf("config", parse(body).config);
  const { keyMaterial, instructionFileConfig, peer, ...rest } = config;
  return {
    ...knownFields("config", rest, configFields),
    ...(instructionFileConfig != null && {
      instructionFileConfig: knownFields(
        "instructionFileConfig",
        fieldsOf("instructionFileConfig", instructionFileConfig),
        instructionFields,
      ),
    }),
    ...(peer != null && { peer: textsOf("peer", peer) }),
    keyMaterial: materialOf(keyMaterial),
  };
}

/** Parses a body with key material. */
export function keyMaterialOf(body: Uint8Array): KeyMaterial {
  return materialOf(parse(body));
}

function materialOf(value: unknown): KeyMaterial {
  const { materialsDescription, ...rest } = fieldsOf("keyMaterial", value);
  const keys = knownFields("keyMaterial", rest, { rsaKey: "string", aesKey: "string", kmsKeyId: "string" });
  if (Object.keys(keys).length !== 1) throw new BadRequest("keyMaterial: not one key");
  return {
    ...keys,
    ...(materialsDescription != null && {
      materialsDescription: textsOf("materialsDescription", materialsDescription),
    }),
  };
}

const configFields = {
  enableLegacyUnauthenticatedModes: "boolean",
  enableDelayedAuthenticationMode: "boolean",
  enableLegacyWrappingAlgorithms: "boolean",
  setBufferSize: "number",
  commitmentPolicy: "string",
  encryptionAlgorithm: "string",
} as const;
/** Whose client the instruction files come by is for the peer to say. */
const instructionFields = {
  clientId: "string",
  enableInstructionFilePutObject: "boolean",
  disableInstructionFile: "boolean",
} as const;

function knownFields(title: string, fields: Fields, types: Readonly<Record<string, string>>): object {
  const there = Object.entries(fields).filter(([, value]) => value != null);
  for (const [name, value] of there) {
    if (!Object.hasOwn(types, name)) throw new BadRequest(`${title}.${name}: unknown`);
    if (typeof value !== types[name]) throw new BadRequest(`${title}.${name}: no ${types[name]}`);
  }
  return Object.fromEntries(there);
}

function textsOf(title: string, value: unknown): Readonly<Record<string, string>> {
  const texts = fieldsOf(title, value);
  for (const text of Object.values(texts)) {
    if (typeof text !== "string") throw new BadRequest(`${title}: not of strings`);
  }
  return texts as Readonly<Record<string, string>>;
}

function fieldsOf(title: string, value: unknown): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new BadRequest(`${title}: no object`);
}

function parse(body: Uint8Array): Fields {
  try {
    return fieldsOf("body", JSON.parse(Buffer.from(body).toString("utf8")));
  } catch (error) {
    throw error instanceof BadRequest ? error : new BadRequest("body: no JSON");
  }
}
