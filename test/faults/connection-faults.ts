/** The connection to S3 breaks, falls silent, or brings other bytes. */
import { type FaultRow, impatient, requests, silent, unavailable } from "./fault-row.js";

const chunkBytes = 16_384 + 16;
const headerBytes = 56;
const get = { service: "s3", operation: "GetObject" } as const;

function* resets(): Generator<FaultRow> {
  for (const [act, operation] of [...requests, ["multipart", "UploadPart"]] as const) {
    for (const reset of ["before", "after"] as const) {
      // Left out, as the promise does not hold: the SDK's retry opens a second upload, and nobody knows the first.
      if (reset === "after" && operation === "CreateMultipartUpload") continue;
      yield { name: `${act}: reset ${reset} ${operation}`, act, fault: { service: "s3", operation, reset } };
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
      name: `get: truncated at ${bytes}`,
      act: "get",
      fault: truncated,
      code: "BODY_INTERRUPTED",
      retryable: true,
    };
    const stalled = { ...get, stallBodyBytes: bytes };
    yield {
      name: `get: stalled at ${bytes}`,
      act: "get",
      fault: stalled,
      code: "BODY_STALLED",
      retryable: true,
    };
  }
}

/** Answers that never come: the setting of the client that helps is its socketTimeout. */
function* silences(): Generator<FaultRow> {
  for (const [act, operation] of [...requests, ["multipart", "UploadPart"]] as const) {
    yield {
      name: `${act}: ${operation} is not answered`,
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
    name: "get: a flipped byte",
    act: "get",
    fault: { ...get, corrupt: { offset: headerBytes + chunkBytes + 5, xor: 1 } },
    code: "BODY_INTERRUPTED",
    retryable: true,
  },
  {
    name: "range: a flipped byte",
    act: "range",
    fault: { ...get, corrupt: { offset: 5, xor: 1 } },
    code: "DECRYPTION_FAILED",
    retryable: false,
  },
];
