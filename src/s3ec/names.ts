/** Every name and constant of the S3 Encryption Client formats on the wire, once. docs/guides/legacy-objects.md explains them. */

/** Metadata names, as S3 gives them back: without `x-amz-meta-`, in lower case. The same in instruction files. */
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
  /** Marks an instruction file; nobody may rely on it. */
  instructionFile: "x-amz-crypto-instr-file",
} as const;

/** What the key of an instruction file ends with. */
export const instructionSuffix = ".instruction";
/** What the oldest .NET clients used instead, with JSON names of their own. */
export const oldNetSuffix = "INSTRUCTION_SUFFIX";
/** A reader takes no instruction file of more bytes than this. */
export const maxInstructionFileBytes = 65_536;

/** The entry that binds the content algorithm to a data key of KMS. */
export const contentContextName = "aws:x-amz-cek-alg";
/** The entry that clients of version 1 added to the context of KMS. */
export const keyIdContextName = "kms_cmk_id";
/** The entries of the context of KMS that are not the writer's own: nobody else may state them. */
export const reservedContextNames: readonly string[] = [contentContextName, keyIdContextName];
