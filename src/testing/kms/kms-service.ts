/** The in-process KMS as a service: its wire format, its errors, its signatures. */
import { createHash } from "node:crypto";
import {
  type Credentials,
  readSmallBody,
  type Service,
  ServiceError,
  type ServiceRequest,
  type ServiceResponse,
} from "../service.js";
import { authenticate } from "../sigv4.js";
import { refuseUnknownFields } from "./fields.js";
import type { Input } from "./input.js";
import { KeyStore, kmsFault } from "./key-store.js";
import { operations } from "./operations.js";

const json = { "content-type": "application/x-amz-json-1.1" };
const targetPrefix = "TrentService.";
const maxBodyBytes = 1024 * 1024;

/** Creates a KMS without keys. */
export function kmsService(region: string, credentials: Credentials): Service {
  const store = new KeyStore(region);
  return {
    name: "kms",
    operationOf: ({ headers }) => (headers["x-amz-target"] ?? "").replace(targetPrefix, ""),

    async handle(request, operation): Promise<ServiceResponse> {
      const body = await readSmallBody(request.body, maxBodyBytes);
      const payloadHash = () => createHash("sha256").update(body).digest("hex");
      authenticate(
        request,
        payloadHash,
        { credentials, region, service: "kms" },
        {
          missing: kmsFault("MissingAuthenticationTokenException", "Missing Authentication Token"),
          unknownKey: kmsFault(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
          ),
          skewed: kmsFault("InvalidSignatureException", "Signature expired"),
          mismatch: kmsFault(
            "InvalidSignatureException",
            "The request signature we calculated does not match",
          ),
        },
      );
      const perform = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
      if (!perform) throw kmsFault("UnknownOperationException", `${operation} is not implemented here.`);
      const input = parseInput(body);
      const { Plaintext: _plaintext, ...recordedInput } = input;
      refuseUnknownFields(operation, input);
      try {
        return {
          status: 200,
          headers: json,
          body: [Buffer.from(JSON.stringify(perform(store, input)))],
          recordedInput,
        };
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        return { ...describeError(error), recordedInput };
      }
    },

    forbidden: (message) => new ServiceError(403, "AccessDeniedException", message),
    describeError,
  };
}

function describeError(error: ServiceError, _request?: ServiceRequest, _requestId?: string): ServiceResponse {
  const message = error.message === "" ? null : error.message;
  return {
    status: error.status,
    headers: json,
    body: [Buffer.from(JSON.stringify({ __type: error.code, message }))],
  };
}

function parseInput(body: Buffer): Input {
  try {
    const input: unknown = JSON.parse(body.toString("utf8"));
    if (typeof input === "object" && input !== null && !Array.isArray(input)) {
      // Null means the same as a missing field.
      return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
    }
  } catch {
    // refused below
  }
  throw kmsFault("SerializationException", "the body is no JSON object");
}
