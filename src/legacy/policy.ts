/** Which objects of S3 Encryption Clients may be read, decided before any key is touched. docs/legacy.md explains it. */

/** Which objects may be read and written, by the names of Amazon's clients. */
export type CommitmentPolicy =
  | "FORBID_ENCRYPT_ALLOW_DECRYPT"
  | "REQUIRE_ENCRYPT_ALLOW_DECRYPT"
  | "REQUIRE_ENCRYPT_REQUIRE_DECRYPT";

/** The values of {@link CommitmentPolicy}. */
export const commitmentPolicies: readonly CommitmentPolicy[] = [
  "FORBID_ENCRYPT_ALLOW_DECRYPT",
  "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
  "REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
];

/** What has to be allowed for objects that the newest clients would not write. */
export interface LegacyPolicy {
  /** Whether objects that do not commit to their data key are read, "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" (no) by default. */
  readonly commitmentPolicy: CommitmentPolicy;
  /** Whether content that nothing authenticates is read: AES/CBC, and ranges of any object; false by default. */
  readonly enableLegacyUnauthenticatedModes: boolean;
  /** Whether the old wraps are read: kms, AES, AESWrap, RSA, RSA-OAEP with SHA-256; false by default. */
  readonly enableLegacyWrappingAlgorithms: boolean;
}
