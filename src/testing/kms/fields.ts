/** The fields that requests to the in-process KMS may have; others are refused by name. */
import type { Input } from "./input.js";
import { kmsFault } from "./key-store.js";

const paging = ["Limit", "Marker"];
/** There are no grants, so their tokens change nothing. */
const using = ["GrantTokens"];
const dataKey = ["KeyId", "EncryptionContext", "KeySpec", "NumberOfBytes", ...using];

const supported: Readonly<Record<string, readonly string[]>> = {
  CancelKeyDeletion: ["KeyId"],
  CreateAlias: ["AliasName", "TargetKeyId"],
  CreateKey: [
    "Description",
    "KeyUsage",
    "KeySpec",
    "CustomerMasterKeySpec",
    "Origin",
    "MultiRegion",
    "Policy",
    "BypassPolicyLockoutSafetyCheck",
    "Tags",
  ],
  Decrypt: ["CiphertextBlob", "EncryptionContext", "KeyId", "EncryptionAlgorithm", ...using],
  DeleteAlias: ["AliasName"],
  DescribeKey: ["KeyId", ...using],
  DisableKey: ["KeyId"],
  DisableKeyRotation: ["KeyId"],
  EnableKey: ["KeyId"],
  EnableKeyRotation: ["KeyId"],
  Encrypt: ["KeyId", "Plaintext", "EncryptionContext", "EncryptionAlgorithm", ...using],
  GenerateDataKey: dataKey,
  GenerateDataKeyWithoutPlaintext: dataKey,
  GetKeyPolicy: ["KeyId", "PolicyName"],
  GetKeyRotationStatus: ["KeyId"],
  ListAliases: ["KeyId", ...paging],
  ListKeyPolicies: ["KeyId", ...paging],
  ListKeys: paging,
  ListResourceTags: ["KeyId", ...paging],
  PutKeyPolicy: ["KeyId", "PolicyName", "Policy", "BypassPolicyLockoutSafetyCheck"],
  ReEncrypt: [
    "CiphertextBlob",
    "SourceEncryptionContext",
    "SourceKeyId",
    "DestinationKeyId",
    "DestinationEncryptionContext",
    "SourceEncryptionAlgorithm",
    "DestinationEncryptionAlgorithm",
    ...using,
  ],
  RotateKeyOnDemand: ["KeyId"],
  ScheduleKeyDeletion: ["KeyId", "PendingWindowInDays"],
  UpdateAlias: ["AliasName", "TargetKeyId"],
};

/**
 * Throws if an input has a field that its operation does not support here: ignoring it would do something
 * else than requested.
 */
export function refuseUnknownFields(operation: string, input: Input): void {
  const known = supported[operation] ?? [];
  // "DryRun": false requests the default.
  const refused = Object.entries(input).find(
    ([name, value]) => !known.includes(name) && !(name === "DryRun" && value === false),
  );
  if (!refused) return;
  throw kmsFault("UnsupportedOperationException", `${operation} with ${refused[0]} is not implemented here.`);
}
