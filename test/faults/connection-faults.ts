/** Connections to S3 that break, fall silent, or deliver altered bytes. */
import { type FaultRow, impatient, requests, silent, unavailable } from "./fault-row.js";

const chunkBytes = 16_384 + 16;
const headerBytes = 56;
const get = { service: "s3", operation: "GetObject" } as const;

function* resets(): Generator<FaultRow> {
  for (const [act, operation] of [...requests, ["multipart", "UploadPart"]] as const) {
    for (const reset of ["before", "after"] as const) {
      // Not tested, as the promise does not hold: the retry of the SDK creates a second upload, and the id of the first is lost.
      if (reset === "after" && operation === "CreateMultipartUpload") continue;
      yield {
        name: `the connection is reset ${reset} ${operation} takes effect`,
        act,
        fault: { service: "s3", operation, reset },
      };
    }
  }
}

function* bodies(): Generator<FaultRow> {
  const cuts = [
    0,
    headerBytes,
    headerBytes + chunkBytes,
    headerBytes + 2 * chunkBytes,
    headerBytes + 3 * chunkBytes + 115,
  ];
  for (const bytes of cuts) {
    const truncated = { ...get, truncateBodyBytes: bytes };
    yield {
      name: `the body of GetObject ends at byte ${bytes}`,
      act: "get",
      fault: truncated,
      code: "BODY_INTERRUPTED",
      retryable: true,
    };
    const stalled = { ...get, stallBodyBytes: bytes };
    yield {
      name: `the body of GetObject stalls at byte ${bytes}`,
      act: "get",
      fault: stalled,
      code: "BODY_STALLED",
      retryable: true,
    };
  }
}

/** Responses that never arrive: the setting of the client that helps is its `socketTimeout`. */
function* silences(): Generator<FaultRow> {
  for (const [act, operation] of [...requests, ["multipart", "UploadPart"]] as const) {
    yield {
      name: `${operation} gets no response`,
      act,
      fault: { service: "s3", operation, ...silent },
      ...impatient,
      ...unavailable,
    };
  }
}

export const connectionFaults: readonly FaultRow[] = [
  ...resets(),
  ...bodies(),
  ...silences(),
  {
    name: "a byte of the body of GetObject is altered",
    act: "get",
    fault: { ...get, corrupt: { offset: headerBytes + chunkBytes + 5, xor: 1 } },
    code: "BODY_INTERRUPTED",
    retryable: true,
  },
  {
    name: "a byte of the body of GetObject is altered",
    act: "range",
    fault: { ...get, corrupt: { offset: 5, xor: 1 } },
    code: "DECRYPTION_FAILED",
    retryable: false,
  },
];
