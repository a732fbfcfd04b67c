/** The operations of the in-process KMS that list keys, aliases, tags and policies. */
import { type Input, type Output, optionalText, text } from "./input.js";
import { type KeyStore, kmsFault } from "./key-store.js";
import { optionalPolicy } from "./policy.js";

/** A key has one policy, of this name. */
const policyName = "default";

export const listingOperations: Readonly<Record<string, (store: KeyStore, input: Input) => Output>> = {
  ListKeys(store, input) {
    const { page, rest } = pageOf(store.keys, ({ id }) => id, input, { usual: 100, most: 1000 });
    return { Keys: page.map(({ id, arn }) => ({ KeyId: id, KeyArn: arn })), ...rest };
  },
  ListAliases(store, input) {
    const only = input.KeyId === undefined ? undefined : store.findKey(text(input, "KeyId")).id;
    const aliases = store.aliases.filter(({ keyId }) => only === undefined || keyId === only);
    const { page, rest } = pageOf(aliases, ({ name }) => name, input, { usual: 50, most: 100 });
    const listed = page.map(({ name, arn, keyId, created, updated }) => ({
      AliasName: name,
      AliasArn: arn,
      TargetKeyId: keyId,
      CreationDate: created.getTime() / 1000,
      LastUpdatedDate: updated.getTime() / 1000,
    }));
    return { Aliases: listed, ...rest };
  },
  ListResourceTags(store, input) {
    const tags = Object.entries(store.findKey(text(input, "KeyId")).tags);
    const { page, rest } = pageOf(tags, ([name]) => name, input, { usual: 50, most: 50 });
    return { Tags: page.map(([TagKey, TagValue]) => ({ TagKey, TagValue })), ...rest };
  },
  ListKeyPolicies(store, input) {
    store.findKey(text(input, "KeyId"));
    const { page, rest } = pageOf([policyName], (name) => name, input, { usual: 100, most: 1000 });
    return { PolicyNames: page, ...rest };
  },
  GetKeyPolicy(store, input) {
    const { policy } = store.findKey(text(input, "KeyId"));
    requirePolicyName(input);
    return { Policy: policy, PolicyName: policyName };
  },
  PutKeyPolicy(store, input) {
    const key = store.findKey(text(input, "KeyId"));
    requirePolicyName(input);
    const policy = optionalPolicy(input);
    if (policy === undefined) throw kmsFault("ValidationException", "Policy must be a non-empty string");
    key.policy = policy;
    return {};
  },
};

function requirePolicyName(input: Input): void {
  const name = optionalText(input, "PolicyName") ?? policyName;
  if (name !== policyName) throw kmsFault("NotFoundException", "No such policy exists");
}

/** One page of a list, in the order of its names, with the marker of the next. */
function pageOf<T>(
  all: readonly T[],
  nameOf: (entry: T) => string,
  { Limit, Marker }: Input,
  { usual, most }: { readonly usual: number; readonly most: number },
): { page: readonly T[]; rest: Output } {
  const limit = Limit ?? usual;
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > most) {
    throw kmsFault("ValidationException", `Limit must be an integer from 1 to ${most}`);
  }
  const after = Marker === undefined ? "" : markedName(Marker);
  const left = all
    .filter((entry) => nameOf(entry) > after)
    .sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  const page = left.slice(0, limit);
  const last = page.at(-1);
  if (last === undefined || left.length === page.length) return { page, rest: { Truncated: false } };
  return { page, rest: { Truncated: true, NextMarker: markerOf(nameOf(last)) } };
}

function markerOf(name: string): string {
  return `1-${Buffer.from(name).toString("base64url")}`;
}

function markedName(marker: unknown): string {
  if (typeof marker === "string") {
    const name = Buffer.from(marker.slice(2), "base64url").toString();
    if (marker === markerOf(name)) return name;
  }
  throw kmsFault("InvalidMarkerException", "The marker is not one that a list ended with");
}
