/** The configuration of a client. */
import type { S3Client } from "@aws-sdk/client-s3";
import { choiceArgument, integerArgument, wrongType } from "../../base/arguments.js";
import { type CryptoEngine, engineArgument, poolOf } from "../../cobblestone/engine/engine.js";
import { maxReadAheadBytes } from "../../cobblestone/engine/pipeline.js";
import type { ProcessingOptions } from "../../cobblestone/stream/message.js";
import { type Fields, fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { type Keyring, keyringArgument } from "../../keys/keyring.js";
import { maxPartBytes, transferLimits } from "../../transfer/limits.js";
import { MemoryBudget } from "../../transfer/memory-budget.js";
import type { LegacyReading, ObjectFormat } from "./format.js";
import type { TransferConfig } from "./transfer-config.js";

const mebibyte = 1024 * 1024;

/** The default of `idleTimeoutMs`. */
export const defaultIdleTimeoutMs = 300_000;

/** The place of the envelope of an object. */
export type EnvelopeStorage = "metadata" | "sidecar";
/** The values of {@link EnvelopeStorage}. */
export const envelopeStorages: readonly EnvelopeStorage[] = ["metadata", "sidecar"];

/** The options of an `EnvelopeClient`. */
export interface EnvelopeClientOptions {
  /**
   * Your S3Client, with its endpoint, credentials, retries and timeouts. A client of `createS3Client()` is faster, and does
   * not wait indefinitely for a service that does not respond.
   */
  readonly s3: S3Client;
  /** Generates and unwraps the data keys. */
  readonly keyring: Keyring;
  /**
   * The place where envelopes are stored; "metadata" by default. A sidecar object holds up to 262,144 characters, and costs one more
   * request for `put` and `head`, two for `get`.
   */
  readonly envelopeStorage?: EnvelopeStorage | undefined;
  /**
   * The size of upload parts in bytes, 5 MiB to 2,047 MiB. By default 8 MiB, and more for large bodies, as an upload has at
   * most 10,000 parts. A size that is set here also holds for bodies of unknown length, as stores that require equal parts
   * (R2) demand.
   */
  readonly partSizeBytes?: number | undefined;
  /** How many parts or blocks of one object are transferred concurrently, 1 to 64; 4 by default. */
  readonly maxConcurrentParts?: number | undefined;
  /**
   * The most bytes that all transfers of this client hold in memory: parts that are being filled or sent, and bytes that
   * are read ahead; 128 MiB by default, 16 MiB at least. Transfers wait for memory, and the one that holds least is served
   * first. A part that is larger than the whole budget is transferred alone.
   */
  readonly maxBufferedBytes?: number | undefined;
  /**
   * The longest time that a read of a body, sent or received, may wait for a byte, in milliseconds; 0 for no limit; 300,000
   * by default.
   */
  readonly idleTimeoutMs?: number | undefined;
  /** The engine that encrypts and decrypts bodies; by default the one that all clients of the process share. */
  readonly engine?: CryptoEngine | undefined;
  /**
   * Lets `get` and `head` read objects of Amazon's S3 Encryption Clients as well; made by `legacyReading` of
   * `s3-envelope/legacy`. Without it such objects are refused.
   */
  readonly legacy?: LegacyReading | undefined;
}

/** {@link EnvelopeClientOptions} once checked. */
export interface ClientConfig extends TransferConfig {
  readonly keyring: Keyring;
  readonly envelopeStorage: EnvelopeStorage;
  readonly engine: CryptoEngine;
  /** The formats of Amazon's S3 Encryption Clients, if they are read. */
  readonly legacy: ObjectFormat | undefined;
}

/** How bodies are processed: by one worker, as the thread that sends and receives them is slower than that. */
export function processingOf({ engine }: Pick<ClientConfig, "engine">): ProcessingOptions {
  return { engine, wantedWorkers: 1 };
}

/** Read-ahead, in bytes, for a body of this length. */
export function readAheadBytesOf({ engine }: ClientConfig, length: number | undefined): number {
  const { hasWorkers, minWorkerBytes } = poolOf(engine);
  const isLong = length === undefined || length > minWorkerBytes;
  return hasWorkers && isLong ? maxReadAheadBytes : 0;
}

/** Checks the options of a client. */
export function configArgument(options: unknown): ClientConfig {
  const given = fieldsArgument<EnvelopeClientOptions>(fieldNames.client.options, options);
  const { envelopeStorage = "metadata", keyring, engine, legacy } = given;
  return {
    ...transferConfigArgument(given),
    keyring: keyringArgument("options.keyring", keyring),
    envelopeStorage: choiceArgument("options.envelopeStorage", envelopeStorage, envelopeStorages),
    engine: engineArgument("options.engine", engine),
    legacy: legacyArgument(legacy),
  };
}

type TransferFields = Fields<
  Pick<
    EnvelopeClientOptions,
    "s3" | "partSizeBytes" | "maxConcurrentParts" | "maxBufferedBytes" | "idleTimeoutMs"
  >
>;

/** Checks the options that all transfers need. */
export function transferConfigArgument(given: TransferFields): TransferConfig {
  const s3 = given.s3 as Partial<S3Client> | undefined;
  if (typeof s3?.send !== "function") throw wrongType("options.s3", "an S3Client", s3);
  const {
    partSizeBytes,
    maxConcurrentParts = 4,
    maxBufferedBytes = 128 * mebibyte,
    idleTimeoutMs = defaultIdleTimeoutMs,
  } = given;
  const { minPartBytes, minBufferedBytes } = transferLimits();
  return {
    s3: s3 as S3Client,
    partSizeBytes:
      partSizeBytes === undefined
        ? undefined
        : integerArgument("options.partSizeBytes", partSizeBytes, minPartBytes, maxPartBytes),
    maxConcurrentParts: integerArgument("options.maxConcurrentParts", maxConcurrentParts, 1, 64),
    budget: new MemoryBudget(
      integerArgument(
        "options.maxBufferedBytes",
        maxBufferedBytes,
        minBufferedBytes,
        Number.MAX_SAFE_INTEGER,
      ),
    ),
    idleTimeoutMs: integerArgument("options.idleTimeoutMs", idleTimeoutMs, 0, 2 ** 31 - 1),
  };
}

function legacyArgument(value: unknown): ObjectFormat | undefined {
  const reading = value as LegacyReading | undefined;
  if (reading === undefined) return undefined;
  if (typeof reading?.format?.find === "function") return reading.format;
  throw wrongType("options.legacy", "what legacyReading() returns", reading);
}
