/** The names and constants of the S3 Encryption Client formats. docs/guides/legacy-objects.md describes them. */

/** Names in metadata, as S3 returns them: without `x-amz-meta-`, in lower case. Instruction files have the same names. */
export const legacyNames = {
  wrappedKeyV1: "x-amz-key",
  wrappedKeyV2: "x-amz-key-v2",
  wrappedKeyV3: "x-amz-3",
  iv: "x-amz-iv",
  description: "x-amz-matdesc",
  wrap: "x-amz-wrap-alg",
  content: "x-amz-cek-alg",
  tagLength: "x-amz-tag-len",
  contentLength: "x-amz-unencrypted-content-length",
  contentMd5: "x-amz-unencrypted-content-md5",
  contentV3: "x-amz-c",
  wrapV3: "x-amz-w",
  commitment: "x-amz-d",
  messageId: "x-amz-i",
  contextV3: "x-amz-t",
  descriptionV3: "x-amz-m",
  /** Marks an instruction file. Not to be relied on. */
  instructionFile: "x-amz-crypto-instr-file",
} as const;

/** The suffix of the key of an instruction file. */
export const instructionSuffix = ".instruction";
/** The suffix of the oldest .NET clients, whose files also have other JSON names. */
export const oldNetSuffix = "INSTRUCTION_SUFFIX";
/** The largest instruction file that readers accept, in bytes. */
export const maxInstructionFileBytes = 65_536;

/** The context entry that binds the content algorithm to a KMS data key. */
export const contentContextName = "aws:x-amz-cek-alg";
/** The context entry that clients of version 1 added for KMS. */
export const keyIdContextName = "kms_cmk_id";
/** The context entries that the formats reserve: callers may not state them. */
export const reservedContextNames: readonly string[] = [contentContextName, keyIdContextName];
