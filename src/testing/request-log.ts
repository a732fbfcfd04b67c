/** The requests that the in-process services have seen, without secrets. */
import type { ServiceRequest } from "./service.js";

/** One request that a service has seen, without secrets. */
export interface RecordedRequest {
  readonly service: "s3" | "kms";
  /** The operation by its AWS API name. */
  readonly operation: string;
  readonly method: string;
  /** The path as it was sent, still encoded. */
  readonly path: string;
  /** Without the signature, the session token and keys. */
  readonly query: Readonly<Record<string, string>>;
  /** Without the authorization, the session token and keys. */
  readonly headers: Readonly<Record<string, string>>;
  /** The JSON input of a KMS operation, without plaintext. */
  readonly input?: Readonly<Record<string, unknown>>;
  /** The status of the response; 0 while there is none, and if the connection broke before it. */
  readonly status: number;
}

/** A record whose response has not been sent. */
export type OpenRecord = { -readonly [Field in keyof RecordedRequest]: RecordedRequest[Field] };

/** The recorded requests; the oldest are dropped when there are too many. */
export class RequestLog {
  #records: OpenRecord[] = [];
  static readonly capacity = 10_000;

  get records(): readonly RecordedRequest[] {
    return this.#records;
  }

  clear(): void {
    this.#records = [];
  }

  open(service: "s3" | "kms", operation: string, request: ServiceRequest): OpenRecord {
    const { method, path } = request;
    const headers = withoutSecrets(Object.entries(request.headers));
    const query = withoutSecrets([...request.query]);
    const record: OpenRecord = { service, operation, method, path, query, headers, status: 0 };
    this.#records.push(record);
    if (this.#records.length > RequestLog.capacity) this.#records.shift();
    return record;
  }
}

const secretNames = /^(authorization|x-amz-security-token|x-amz-signature|x-amz-.*customer-key)$/i;

function withoutSecrets(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries(pairs.filter(([name]) => !secretNames.test(name)));
}
