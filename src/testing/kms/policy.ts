/** The policy and the tags of a key, which this KMS stores and returns without enforcing them. */
import { type Input, optionalText } from "./input.js";
import { kmsFault } from "./key-store.js";

const maxPolicyBytes = 32 * 1024;
const maxTags = 50;

/** The policy of an input, which must be a JSON object with statements. */
export function optionalPolicy(input: Input): string | undefined {
  const policy = optionalText(input, "Policy");
  if (policy === undefined) return undefined;
  if (Buffer.byteLength(policy) > maxPolicyBytes) {
    throw kmsFault("LimitExceededException", `The policy exceeds ${maxPolicyBytes} bytes`);
  }
  if (!hasStatements(policy)) throw kmsFault("MalformedPolicyDocumentException", "The policy is not valid");
  return policy;
}

function hasStatements(policy: string): boolean {
  try {
    const document: unknown = JSON.parse(policy);
    return typeof document === "object" && document !== null && "Statement" in document;
  } catch {
    return false;
  }
}

/** The tags of an input. */
export function tagsOf({ Tags = [] }: Input): Readonly<Record<string, string>> {
  const pairs = Array.isArray(Tags) ? Tags.map(pairOf) : [undefined];
  if (pairs.length > maxTags) throw kmsFault("LimitExceededException", `more than ${maxTags} tags`);
  const names = new Set(pairs.map((pair) => pair?.[0]));
  const good = pairs.filter((pair) => pair !== undefined);
  if (good.length < pairs.length || names.size < pairs.length) {
    throw kmsFault("TagException", "Tags must be pairs of a TagKey, each of another name, and a TagValue");
  }
  return Object.fromEntries(good);
}

function pairOf(tag: unknown): readonly [string, string] | undefined {
  if (typeof tag !== "object" || tag === null) return undefined;
  const { TagKey: name, TagValue: value } = tag as Readonly<Record<string, unknown>>;
  if (typeof name !== "string" || typeof value !== "string") return undefined;
  return name.length >= 1 && name.length <= 128 && value.length <= 256 ? [name, value] : undefined;
}
