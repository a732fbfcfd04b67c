/** Runs the rows of a table of faults against the in-process S3 and KMS, and checks the invariants after each. */
import { Agent } from "node:http";
import { KMSClient } from "@aws-sdk/client-kms";
import { AbortMultipartUploadCommand, S3Client } from "@aws-sdk/client-s3";
import { expect, it } from "vitest";
import { EnvelopeClient, kmsKeyring } from "../../src/index.js";
import { collectUntilError, cut, expectBytes, testBytes } from "../support/bytes.js";
import { coded } from "../support/errors.js";
import { Bucket, type Local, partBytes, useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";
import type { Act, FaultRow } from "./fault-row.js";

const chunkBytes = 16_384;
const old = testBytes(3 * chunkBytes + 100, 1);
const fresh = testBytes(2 * chunkBytes + 7, 2);
const large = testBytes(2 * partBytes + 9, 3);
const range = { first: chunkBytes + 3, last: 2 * chunkBytes + 5 };

/** Makes the call of a row; returns the released bytes, and the error of the call or its body. */
async function perform(client: EnvelopeClient, { act, onlyNew }: FaultRow, Key: string) {
  const at = { Bucket, Key };
  const condition = onlyNew ? { IfNoneMatch: "*" } : {};
  try {
    if (act === "head") await client.head(at);
    else if (act === "delete") await client.delete(at);
    else if (act === "get" || act === "get sidecar" || act === "range") {
      const Range = act === "range" ? `bytes=${range.first}-${range.last}` : undefined;
      return await collectUntilError((await client.get({ ...at, Range })).Body);
    } else {
      const Body = act === "stream" ? cutStream() : written(act);
      await client.put({ ...at, ...condition, Body });
    }
  } catch (error) {
    return { released: Buffer.alloc(0), error };
  }
  return { released: Buffer.alloc(0), error: undefined };
}

const written = (act: FaultRow["act"]) => (act === "multipart" ? large : fresh);
async function* cutStream() {
  yield* cut(fresh, 1000);
}

const titles: Record<Act, string> = {
  put: "put",
  stream: "put of a stream",
  multipart: "multipart put",
  "put sidecar": "put with a sidecar",
  get: "get",
  range: "get of a range",
  "get sidecar": "get with a sidecar",
  head: "head",
  delete: "delete",
};

function titleOf({ act, name, code, maxAttempts }: FaultRow): string {
  const attempts = maxAttempts === 1 ? ", with one attempt" : "";
  return `${titles[act]} while ${name}${attempts}: ${code ? `fails with ${code}` : "succeeds"}`;
}

/** Makes a test of each row. */
export function runFaults(rows: readonly FaultRow[]): void {
  const local = useLocalAws();
  it.each(rows.map((row, index) => [titleOf(row), row, `row-${index}`] as const))("%s", (_, row, Key) =>
    runFault(local, row, Key),
  );
}

async function runFault(local: Local, row: FaultRow, Key: string): Promise<void> {
  const {
    act,
    maxAttempts = 3,
    clockOffsetMs = 0,
    kmsClockOffsetMs = 0,
    socketTimeoutMs: socketTimeout,
  } = row;
  const { aws, keyArn } = local;
  const agents = [new Agent({ keepAlive: true }), new Agent({ keepAlive: true })] as const;
  const inUse = () => agents.flatMap((agent) => Object.values(agent.sockets).flat()).length;
  const [s3Settings, kmsSettings] = agents.map((httpAgent) => ({
    maxAttempts,
    requestHandler: { httpAgent, ...(socketTimeout !== undefined && { socketTimeout }) },
  }));
  const s3 = new S3Client({ ...aws.s3Config, ...s3Settings, systemClockOffset: clockOffsetMs });
  const kms = new KMSClient({ ...aws.kmsConfig, ...kmsSettings, systemClockOffset: kmsClockOffsetMs });
  const sidecar = act.endsWith("sidecar");
  const options = {
    keyring: kmsKeyring({ kms, keyId: keyArn }),
    envelopeStorage: sidecar ? "sidecar" : "metadata",
  } as const;
  // Short only where a body stalls: a busy machine may be slower.
  const stalls = [row.fault, ...(row.also ?? [])].some(({ stallBodyBytes }) => stallBodyBytes !== undefined);
  const idleTimeoutMs = stalls ? 200 : 240_000;
  const client = new EnvelopeClient({ s3, partSizeBytes: partBytes, idleTimeoutMs, ...options });
  const checker = local.clientWith({ ...options, keyring: kmsKeyring({ kms: aws.kms, keyId: keyArn }) });
  if (!row.onlyNew) await checker.put({ Bucket, Key, Body: old });
  const before = await local.contents();
  aws.clearRequests();
  aws.fault(row.fault);
  for (const fault of row.also ?? []) aws.fault(fault);
  const { released, error } = await perform(client, row, Key);
  const { operation, reset, delayMs, status = reset || delayMs ? 0 : undefined } = row.fault;
  const struck = aws.requests.some((one) => one.operation === operation && one.status === status);
  if (status !== undefined) expect(struck).toBe(true);
  const requested = local.operations();
  aws.clearFaults();

  if (!row.code) expect(error).toBeUndefined();
  if (row.requests)
    expect(requested.filter((name) => name === row.requests?.[0])).toHaveLength(row.requests[1]);
  if (row.code) {
    expect(error).toEqual(coded(row.code, row.details));
    expect(error).toMatchObject({ retryable: row.retryable });
    expect(String(error)).not.toContain(aws.s3Config.credentials.secretAccessKey);
  }
  // Neither a body that ended or failed nor an abandoned request holds a connection.
  await until(() => expect(inUse()).toBe(0));
  // The SDK takes the time of the server from the refusal and signs the next request with it.
  if (clockOffsetMs !== 0) expect(await client.head({ Bucket, Key })).toMatchObject({ encrypted: true });
  const reads = act.includes("get") || act === "range";
  if (reads) {
    const whole = act === "range" ? old.subarray(range.first, range.last + 1) : old;
    expectBytes(released, whole.subarray(0, row.code ? released.length : undefined));
    if (row.code) expect(released.length).toBeLessThan(whole.length);
    if (row.code && act !== "range") expect(released.length % chunkBytes).toBe(0);
  }
  const { details = {} } = (error ?? {}) as { details?: Record<string, string> };
  const after = await local.contents();
  expect(after.uploads).toEqual(row.orphan ? [...before.uploads, Key] : before.uploads);
  if (row.orphan) {
    const UploadId = details.orphanedUploadId;
    await local.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  }
  const spare = row.spareSidecar ? [details.possiblyOrphanedSidecarKey] : [];
  if (row.code) expect([...after.keys].sort()).toEqual([...before.keys, ...spare].sort());
  if (act === "delete" && !row.code) expect(after.keys).not.toContain(Key);
  else {
    const { Body } = await checker.get({ Bucket, Key });
    const stays = row.code || reads || act === "head" || act === "delete";
    expectBytes(await Body.transformToByteArray(), stays ? old : written(act));
  }
  s3.destroy();
  kms.destroy();
}
