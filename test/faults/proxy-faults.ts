/** Faults of the network between the SDK and any S3 server, made by a TCP proxy. */
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EnvelopeClient, type ErrorCode } from "../../src/index.js";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { collectUntilError, expectBytes, testBytes } from "../support/bytes.js";
import { coded } from "../support/errors.js";
import { keyring, s3PartBytes } from "../support/local.js";
import { type ProxyRule, startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { until } from "../support/until.js";

/** The server under test; read when the tests run. */
export type ProxyTarget = () => { readonly s3Config: LocalClientConfig; readonly Bucket: string };

type Row = readonly [name: string, act: "put" | "multipart" | "get", rule: ProxyRule, code?: ErrorCode];

const put = /^PUT [^ ]*proxy-/;
const part = /^PUT [^ ]*partNumber=/;
const complete = /^POST [^ ]*uploadId=/;
const get = /^GET [^ ]*proxy-/;
const rows: readonly Row[] = [
  ["put: PutObject is reset before its first byte and retried", "put", { match: put, resetRequestAt: 0 }],
  ["put: PutObject is reset within its body and retried", "put", { match: put, resetBodyAt: 10_000 }],
  ["put: PutObject loses its response and is retried", "put", { match: put, resetResponseAt: 0 }],
  [
    "multipart put: UploadPart is reset within its body and retried",
    "multipart",
    { match: part, resetBodyAt: 2_000_000 },
  ],
  [
    "multipart put: the second UploadPart loses its response and is retried",
    "multipart",
    { match: part, skip: 1, resetResponseAt: 0 },
  ],
  [
    "multipart put: CompleteMultipartUpload is reset before its first byte and retried",
    "multipart",
    { match: complete, resetRequestAt: 0 },
  ],
  [
    "multipart put: CompleteMultipartUpload loses its response: the object is found",
    "multipart",
    { match: complete, resetResponseAt: 0 },
  ],
  ["get: GetObject is reset before its first byte and retried", "get", { match: get, resetRequestAt: 0 }],
  ["get: GetObject loses its response and is retried", "get", { match: get, resetResponseAt: 0 }],
  [
    "get: GetObject is reset within its body: the body fails with BODY_INTERRUPTED",
    "get",
    { match: get, resetResponseAt: 40_000 },
    "BODY_INTERRUPTED",
  ],
  [
    "get: GetObject stalls within its body: the body fails with BODY_STALLED",
    "get",
    { match: get, stallResponseAt: 40_000 },
    "BODY_STALLED",
  ],
];

/** Runs the rows against a server. */
export function proxyFaults(name: string, target: ProxyTarget): void {
  describe(name, () => {
    const bytes = testBytes(100_000, 4);
    const large = testBytes(2 * s3PartBytes + 9, 5);
    let proxy: TcpProxy;
    beforeAll(async () => {
      proxy = await startTcpProxy(target().s3Config.endpoint);
    });
    afterAll(() => proxy.close());

    it.each(rows.map((row, index) => [row[0], row, index] as const))("%s", async (_, row, index) => {
      const [, act, rule, code] = row;
      const { s3Config, Bucket } = target();
      const Key = `proxy-${index}`;
      const direct = new S3Client(s3Config);
      const s3 = new S3Client({ ...s3Config, endpoint: proxy.endpoint, maxAttempts: 3 });
      // Short only where a body stalls: a busy machine may be slower.
      const idleTimeoutMs = rule.stallResponseAt === undefined ? 240_000 : 300;
      const client = new EnvelopeClient({ s3, keyring, partSizeBytes: s3PartBytes, idleTimeoutMs });
      const checker = new EnvelopeClient({ s3: direct, keyring });
      const Body = act === "multipart" ? large : bytes;
      if (act === "get") await checker.put({ Bucket, Key, Body });
      const struck = proxy.rule(rule);
      if (act === "get") {
        const { released, error } = await collectUntilError((await client.get({ Bucket, Key })).Body);
        if (code) expect(error).toEqual(coded(code));
        else expect(error).toBeUndefined();
        expectBytes(released, bytes.subarray(0, code ? released.length : undefined));
        if (code) expect(released.length).toBeLessThan(bytes.length);
        if (code) expect(released.length % 16_384).toBe(0);
      } else await client.put({ Bucket, Key, Body });
      expect(struck.hits).toBe(1);
      s3.destroy();
      await until(() => expect(proxy.connections()).toBe(0));
      const { Body: back } = await checker.get({ Bucket, Key });
      expectBytes(await back.transformToByteArray(), Body);
      const { Uploads = [] } = await direct.send(new ListMultipartUploadsCommand({ Bucket }));
      expect(Uploads).toEqual([]);
      const { Contents = [] } = await direct.send(new ListObjectsV2Command({ Bucket, Prefix: Key }));
      expect(Contents.map((object) => object.Key)).toContain(Key);
      direct.destroy();
    });

    it("get: an object that is overwritten while it is read never yields mixed bytes", async () => {
      const { s3Config, Bucket } = target();
      const s3 = new S3Client({ ...s3Config, endpoint: proxy.endpoint });
      const client = new EnvelopeClient({ s3, keyring, partSizeBytes: s3PartBytes });
      const at = { Bucket, Key: "proxy-overwritten" };
      await client.put({ ...at, Body: large });
      const { Body } = await client.get(at);
      const reader = Body[Symbol.asyncIterator]();
      const first = Buffer.from((await reader.next()).value ?? []);
      await client.put({ ...at, Body: bytes });
      const { released, error } = await collectUntilError({ [Symbol.asyncIterator]: () => reader });
      const all = Buffer.concat([first, released]);
      if (error === undefined) expectBytes(all, large);
      else {
        expect(error).toMatchObject({ name: "EnvelopeError" });
        expectBytes(all, large.subarray(0, all.length));
      }
      const again = await client.get(at);
      expectBytes(await again.Body.transformToByteArray(), bytes);
      s3.destroy();
    });
  });
}
