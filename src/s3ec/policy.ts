/** The policy that decides, before any key is used, which objects of S3 Encryption Clients may be read. docs/guides/legacy-objects.md */
import { choiceArgument } from "../base/arguments.js";
import { EnvelopeError } from "../base/errors.js";
import type { Fields } from "../fields/field-list.js";
import type { LegacyEnvelope } from "./envelope.js";
import type { WrapAlgorithm } from "./suites.js";

/** Whether objects with and without key commitment are written and read, by the names of Amazon's clients. */
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

/** The permissions for objects that the newest clients would not write. */
export interface LegacyPolicy {
  /** Whether objects without key commitment are read. "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" by default, which refuses them. */
  readonly commitmentPolicy: CommitmentPolicy;
  /** Whether unauthenticated content is read: AES/CBC, and ranges of any object. False by default. */
  readonly enableLegacyUnauthenticatedModes: boolean;
  /** Whether the old wraps are read: kms, AES, AESWrap, RSA, RSA-OAEP with SHA-256. False by default. */
  readonly enableLegacyWrappingAlgorithms: boolean;
}

/**
 * Checks the policy among the options of a reader, whose names have been checked. Options that are not stated allow nothing.
 *
 * @throws TypeError, RangeError that name the option
 */
export function policyArguments(options: Partial<Fields<LegacyPolicy>>): LegacyPolicy {
  const {
    commitmentPolicy = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
    enableLegacyUnauthenticatedModes = false,
    enableLegacyWrappingAlgorithms = false,
  } = options;
  return Object.freeze({
    commitmentPolicy: choiceArgument("options.commitmentPolicy", commitmentPolicy, commitmentPolicies),
    enableLegacyUnauthenticatedModes: flag(
      "options.enableLegacyUnauthenticatedModes",
      enableLegacyUnauthenticatedModes,
    ),
    enableLegacyWrappingAlgorithms: flag(
      "options.enableLegacyWrappingAlgorithms",
      enableLegacyWrappingAlgorithms,
    ),
  });
}

function flag(title: string, value: unknown): boolean {
  return choiceArgument(title, value, [true, false]);
}

/** A reason why an object is refused: the option that allows it, and the text of the error. */
type Refusal = readonly [option: keyof LegacyPolicy, reason: string];

/**
 * Refuses an object that the policy does not allow. The checks have the order of Amazon's clients: range, mode, commitment,
 * wrap.
 *
 * @param wrap the wrap that the object is unwrapped by, which V1 does not state
 * @throws EnvelopeError `LEGACY_REFUSED`, which names the option that allows it and the risk that the option brings
 */
export function requireAllowed(
  envelope: LegacyEnvelope,
  wrap: WrapAlgorithm,
  policy: LegacyPolicy,
  isRange: boolean,
): void {
  const content = envelope.suite.contentNames[0];
  const [first, ...others] = refusals(envelope, wrap, policy, isRange);
  if (!first) return;
  const [option, reason] = first;
  const more = others.map(([other]) => other).join(", ");
  const also = more === "" ? "" : `. The object also needs these options: ${more}`;
  throw new EnvelopeError("LEGACY_REFUSED", `${reason}${also}`, {
    details: { option, format: envelope.format, wrap: wrap.name, content },
  });
}

function refusals(
  { format, suite }: LegacyEnvelope,
  wrap: WrapAlgorithm,
  policy: LegacyPolicy,
  isRange: boolean,
): Refusal[] {
  const found: Refusal[] = [];
  const name = suite.contentNames[0];
  const isUnauthenticated = isRange || suite.mode === "cbc";
  if (!policy.enableLegacyUnauthenticatedModes && isUnauthenticated) {
    const reason =
      suite.mode === "cbc"
        ? `the object's content is ${name} (format ${format}), which is not authenticated: to read it,`
        : "a range of an object of an S3 Encryption Client cannot be verified, as the object has a single tag: read the " +
          "whole object, or";
    found.push([
      "enableLegacyUnauthenticatedModes",
      `${reason} set enableLegacyUnauthenticatedModes: true, which does not detect modified bytes`,
    ]);
  }
  if (policy.commitmentPolicy === "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" && !suite.commits) {
    found.push([
      "commitmentPolicy",
      `the object's content is ${name} (format ${format}), which does not commit to its data key: to read it, set ` +
        'commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT", which lets anybody who can write to the bucket make an ' +
        "object that decrypts to different content under different data keys",
    ]);
  }
  if (!policy.enableLegacyWrappingAlgorithms && wrap.isLegacy) {
    found.push([
      "enableLegacyWrappingAlgorithms",
      `the object's data key is wrapped by ${wrap.name} (format ${format}), which does not bind the content algorithm: ` +
        "to read it, set enableLegacyWrappingAlgorithms: true, which lets anybody who can write to the bucket have the " +
        "data key used with another algorithm",
    ]);
  }
  return found;
}
