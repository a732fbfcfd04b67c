/** One page of a listing: entries, common prefixes in place of some, and where the next page begins. */
import { uriEncode } from "../../sigv4.js";
import { s3Fault } from "../wire/s3-fault.js";
import { element, group } from "../wire/xml.js";

type Query = ReadonlyMap<string, string>;

/** A part of a listing. */
export interface Page<T> {
  /** Entries, and common prefixes in place of those that share one up to a delimiter. */
  readonly entries: readonly (T | string)[];
  /** Whether there are more. */
  readonly truncated: boolean;
  /** The last entry that this page covers, listed or under a prefix. */
  readonly last: T | undefined;
}

const tokenPrefix = "1-";

/**
 * Takes one page from the rest of a listing.
 *
 * @param after the key at the end of the earlier pages
 */
export function takePage<T extends { readonly key: string }>(
  rest: readonly T[],
  query: Query,
  limit: number,
  after: string,
): Page<T> {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const entries: (T | string)[] = [];
  const prefixes = new Set<string>();
  let last: T | undefined;
  for (const entry of rest) {
    if (!entry.key.startsWith(prefix)) continue;
    const cut = delimiter === "" ? -1 : entry.key.indexOf(delimiter, prefix.length);
    const common = cut < 0 ? undefined : entry.key.slice(0, cut + delimiter.length);
    const shown = common !== undefined && (prefixes.has(common) || after.startsWith(common));
    if (!shown) {
      if (entries.length === limit) return { entries, truncated: limit > 0, last };
      entries.push(common ?? entry);
      if (common !== undefined) prefixes.add(common);
    }
    last = entry;
  }
  return { entries, truncated: false, last };
}

/** The XML elements that repeat the parameters of the request. */
export function pageTerms(query: Query): string[] {
  const encode = encoderOf(query);
  const delimiter = query.get("delimiter") ?? "";
  return [
    element("Prefix", encode(query.get("prefix") ?? "")),
    element("Delimiter", delimiter === "" ? undefined : encode(delimiter)),
    element("EncodingType", query.get("encoding-type")),
  ];
}

/** The XML elements of the entries, each made by the function. */
export function pageEntries<T>({ entries }: Page<T>, query: Query, tell: (entry: T) => string): string[] {
  const encode = encoderOf(query);
  return entries.map((entry) =>
    typeof entry === "string" ? group("CommonPrefixes", [element("Prefix", encode(entry))]) : tell(entry),
  );
}

/** Encodes keys as the request's encoding type asks. */
export function encoderOf(query: Query): (text: string) => string {
  const type = query.get("encoding-type");
  if (type === undefined) return (text) => text;
  if (type !== "url") throw s3Fault("InvalidArgument", "Invalid Encoding Method specified in Request");
  return (text) => text.split("/").map(uriEncode).join("/").replaceAll("%20", "+");
}

/** The continuation token for what follows a key. */
export function continuationToken(key: string): string {
  return tokenPrefix + Buffer.from(key).toString("base64url");
}

/** The key that a continuation token follows. */
export function continuedKey(token: string): string {
  const key = Buffer.from(token.slice(tokenPrefix.length), "base64url").toString();
  if (token === continuationToken(key)) return key;
  throw s3Fault("InvalidArgument", "The continuation token provided is incorrect");
}
