/** Stores whose responses differ from those of S3, and what each call must do. */
import type { ErrorCode } from "../../src/base/errors.js";
import {
  type Alteration,
  type HttpProxy,
  headerOf,
  type ProxiedRequest,
  type ProxiedResponse,
  setBody,
  setHeader,
} from "../support/http-proxy.js";

/** The calls of the matrix. */
export const acts = [
  "put",
  "put multipart",
  "put sidecar",
  "get",
  "get sidecar",
  "range",
  "whole range",
  "suffix",
  "parallel",
  "verifyLength",
  "open",
  "download",
  "upload",
  "upload resumed",
  "head",
  "delete",
  "abortUploads",
  "legacy get",
  "legacy range",
  "migrate",
] as const;
export type Act = (typeof acts)[number];

/** The failure of a call. */
export interface Failure {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** What the message must contain. */
  readonly says: RegExp;
  /** The upload is left behind: its id is unknown, or the deviation affects its abort as well. */
  readonly leavesUpload?: boolean;
}

/** One deviation. */
export interface Deviation {
  /** Called before each act. */
  readonly begin?: () => void;
  /** Completes "a store that sends". */
  readonly name: string;
  readonly alter?: Alteration;
  readonly respond?: HttpProxy["answer"];
  /** The calls that fail; all others work. */
  readonly fails?: Partial<Record<Act, Failure>>;
  /** The failure that any call may have, depending on the order of its requests. */
  readonly mayFail?: Failure;
  /** The failure of the calls that `fails` does not name. */
  readonly failsAll?: Failure;
}

const isXml = (response: ProxiedResponse) =>
  response.body.includes("<?xml") || response.body.includes("xmlns");

function mapETags(change: (etag: string) => string | undefined): Alteration {
  return (response) => {
    const etag = headerOf(response, "etag");
    if (etag !== undefined) setHeader(response, "etag", change(etag));
    if (isXml(response) && response.status < 300)
      setBody(
        response,
        response.body.toString().replace(/<ETag>(.*?)<\/ETag>/g, (_, text: string) => {
          const changed = change(text.replaceAll("&quot;", '"'));
          return changed === undefined ? "" : `<ETag>${changed.replaceAll('"', "&quot;")}</ETag>`;
        }),
      );
    return undefined;
  };
}

const bare = (etag: string) => etag.replaceAll('"', "");

const header =
  (
    name: string,
    value: string | undefined | ((value: string) => string | undefined),
    whenSet = true,
  ): Alteration =>
  (response) => {
    const before = headerOf(response, name);
    if (before === undefined && whenSet) return undefined;
    setHeader(response, name, typeof value === "function" ? value(before ?? "") : value);
    return undefined;
  };

const isObjectRead = ({ method, url }: ProxiedRequest) => method === "GET" && url.includes("GetObject");

/** Responds to a range with the whole object, which it reads from the server. */
function whole(
  read: (key: string) => Promise<Buffer>,
  when: (range: string, total: number) => boolean,
): Alteration {
  return async (response, request) => {
    const range = headerOf(response, "content-range");
    if (!isObjectRead(request) || range === undefined) return undefined;
    const total = Number(range.split("/")[1]);
    if (!when(range, total)) return undefined;
    response.status = 200;
    setHeader(response, "content-range", undefined);
    for (const [name] of [...response.headers])
      if (name.startsWith("x-amz-checksum")) setHeader(response, name, undefined);
    setBody(
      response,
      await read(decodeURIComponent(request.url.split("?")[0]?.split("/").slice(2).join("/") ?? "")),
    );
    return undefined;
  };
}

const xmlDates =
  (change: string): Alteration =>
  (response) => {
    if (isXml(response) && response.status < 300)
      setBody(
        response,
        response.body
          .toString()
          .replace(
            /<(LastModified|Initiated)>[^<]*<\/\1>/g,
            (_, name: string) => `<${name}>${change}</${name}>`,
          ),
      );
    return undefined;
  };

const refusedIfMatch: ProxiedResponse = {
  status: 412,
  headers: [
    ["content-type", "application/xml"],
    ["content-length", "64"],
    ["x-amz-request-id", "REFUSED"],
  ],
  body: Buffer.from("<Error><Code>PreconditionFailed</Code></Error>".padEnd(64)),
};

const padded = Buffer.alloc(9 * 1024 * 1024, " ");
/** The id of a created upload is unknown then. */
const damaged: Failure = {
  code: "S3_UNAVAILABLE",
  retryable: true,
  says: /damaged on the way/,
  leavesUpload: true,
};
const all = (failure: Failure, names: readonly Act[]) =>
  Object.fromEntries(names.map((name) => [name, failure]));
const refused = (says: RegExp): Failure => ({ code: "S3_REQUEST_FAILED", retryable: false, says });
const noETag = refused(/its response has no ETag/);
const xmlActs: readonly Act[] = ["put multipart", "upload", "upload resumed", "abortUploads", "migrate"];
const ranged: readonly Act[] = [
  "range",
  "whole range",
  "suffix",
  "verifyLength",
  "open",
  "download",
  "legacy range",
];

/** All deviations. @param read reads an object, bypassing the proxy */
export function deviations(read: (key: string) => Promise<Buffer>): readonly Deviation[] {
  let turns = 0;
  const begin = () => {
    turns = 0;
  };
  return [
    { name: "the responses of S3" },
    { name: "ETags without quotes", alter: mapETags(bare) },
    { name: "weak ETags", alter: mapETags((etag) => `W/${etag}`) },
    {
      name: "ETags with and without quotes by turns",
      begin,
      alter: (...args) => mapETags(turns++ % 2 === 0 ? bare : (etag) => etag)(...args),
    },
    {
      name: "no ETag",
      fails: { ...all(noETag, ["put multipart", "put sidecar", "upload", "upload resumed", "migrate"]) },
      alter: mapETags(() => undefined),
    },
    {
      name: "no ETag in every other response",
      begin,
      mayFail: noETag,
      alter: (...args) => mapETags(turns++ % 2 === 0 ? () => undefined : (etag) => etag)(...args),
    },
    {
      name: "412 for every quoted If-Match",
      fails: {
        migrate: {
          code: "S3_PRECONDITION_FAILED",
          retryable: false,
          says: /the store does not understand the condition/,
        },
      },
      respond: ({ headers }) => (headers["if-match"]?.startsWith('"') ? refusedIfMatch : undefined),
    },
    { name: "200 and the whole object for every range", alter: whole(read, () => true) },
    {
      name: "200 for a range that is the whole object",
      alter: whole(read, (range, total) => range.startsWith(`bytes 0-${total - 1}/`)),
    },
    {
      name: "Content-Range without the total",
      fails: all(refused(/did not state the size of the object/), ["range", "legacy range"]),
      alter: header("content-range", (value) => value.replace(/\/.*/, "/*")),
    },
    {
      name: "206 without Content-Range",
      fails: {
        ...all(refused(/did not state the size of the object/), ["range", "legacy range"]),
        ...all(refused(/some bytes of the object without a Content-Range/), [
          "suffix",
          "verifyLength",
          "open",
        ]),
      },
      alter: header("content-range", undefined),
    },
    {
      name: "Content-Range in another unit",
      fails: all(refused(/Content-Range "items .*is not valid in HTTP/), ranged),
      alter: header("content-range", (value) => value.replace("bytes", "items")),
    },
    {
      name: "Content-Range with spaces and capitals",
      alter: header("content-range", (value) =>
        value.replace("bytes ", "Bytes  ").replace("-", " - ").replace("/", " / "),
      ),
    },
    {
      name: "an invalid Content-Range",
      fails: all(refused(/Content-Range "all of it", which is not valid in HTTP/), ranged),
      alter: header("content-range", "all of it"),
    },
    {
      name: "Content-Range of other bytes",
      fails: all(refused(/the store sent (bytes|the Content-Range)/), ranged),
      alter: header("content-range", (value) =>
        value.replace(/(\d+)-(\d+)/, (_, a, b) => `${Number(a) + 16}-${Number(b) + 16}`),
      ),
    },
    { name: "Last-Modified in ISO 8601", alter: header("last-modified", "2026-01-02T03:04:05.678Z") },
    { name: "an invalid Last-Modified", alter: header("last-modified", "yesterday") },
    { name: "no Last-Modified", alter: header("last-modified", undefined) },
    { name: "HTTP dates in XML", alter: xmlDates("Fri, 02 Jan 2026 03:04:05 GMT") },
    {
      name: "invalid dates in XML",
      fails: all(refused(/listed an upload without/), ["abortUploads"]),
      alter: xmlDates("yesterday"),
    },
    { name: "an invalid abort date", alter: header("x-amz-abort-date", "soon", false) },
    {
      name: "invalid counts and flags",
      alter: (response) => {
        for (const name of [
          "x-amz-missing-meta",
          "x-amz-mp-parts-count",
          "x-amz-tagging-count",
          "x-amz-delete-marker",
        ])
          setHeader(response, name, "several");
        return undefined;
      },
    },
    {
      name: "no Content-Length",
      fails: all(refused(/lacks the envelope or the size/), ["migrate"]),
      alter: header("content-length", undefined),
    },
    { name: "a Content-Encoding", alter: header("content-encoding", "gzip", false) },
    { name: "an invalid Expires", alter: header("expires", "0", false) },
    { name: "an invalid header line", alter: () => "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n", failsAll: damaged },
    {
      name: "two Content-Length headers",
      alter: () => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      failsAll: damaged,
    },
    {
      name: "400 without a body",
      failsAll: damaged,
      fails: all(refused(/Unknown/), ["head", "migrate"]),
      alter: () => "HTTP/1.1 400 X\r\ncontent-length: 0\r\n\r\n",
    },
    {
      name: "403 with a body of 9 MiB",
      failsAll: {
        code: "S3_ACCESS_DENIED",
        retryable: false,
        says: /access was refused/,
        leavesUpload: true,
      },
      alter: (response) => {
        response.status = 403;
        setBody(response, padded);
        return undefined;
      },
    },
    {
      name: "9 MiB of padding after the XML",
      fails: all(refused(/larger than any response of S3/), xmlActs),
      alter: (response) => {
        if (isXml(response) && response.status < 300)
          setBody(response, Buffer.concat([response.body, padded]));
        return undefined;
      },
    },
    {
      name: "truncated XML",
      fails: all(refused(/has a success status and cannot be parsed/), xmlActs),
      alter: (response) => {
        if (isXml(response) && response.status < 300) setBody(response, response.body.subarray(0, -12));
        return undefined;
      },
    },
    {
      name: "no UploadId",
      fails: all({ ...refused(/has no UploadId/), leavesUpload: true }, [
        "put multipart",
        "upload",
        "migrate",
      ]),
      alter: (response) => {
        if (response.body.includes("<InitiateMultipartUploadResult"))
          setBody(response, response.body.toString().replace(/<UploadId>.*<\/UploadId>/, ""));
        return undefined;
      },
    },
    {
      name: "an endless list",
      fails: all(refused(/whose next page does not begin after/), ["upload resumed", "abortUploads"]),
      alter: (response) => {
        if (/<List(Parts|MultipartUploads)Result/.test(response.body.toString())) {
          const next = ++turns % 7;
          setBody(
            response,
            response.body
              .toString()
              .replace(/<IsTruncated>.*?<\/IsTruncated>/, "<IsTruncated>true</IsTruncated>")
              .replace(/<Next\w+>.*?<\/Next\w+>/g, "")
              .replace(
                /<\/List/,
                `<NextPartNumberMarker>${next}</NextPartNumberMarker><NextKeyMarker>k${next}</NextKeyMarker><NextUploadIdMarker>u${next}</NextUploadIdMarker></List`,
              ),
          );
        }
        return undefined;
      },
    },
  ];
}
