/** Which objects of S3 Encryption Clients may be read, decided before any key is touched. docs/guides/legacy-objects.md explains it. */
import { choiceArgument } from "../base/arguments.js";
import { EnvelopeError } from "../base/errors.js";
import type { Fields } from "../fields/field-list.js";
import type { LegacyEnvelope } from "./envelope.js";
import type { WrapAlgorithm } from "./suites.js";

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

/**
 * Takes the policy out of the options of a reader, whose names have been checked. Nothing that is left out is allowed.
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

/** One reason why an object is not read: the option that allows it, and what the message says. */
type Refusal = readonly [option: keyof LegacyPolicy, reason: string];

/**
 * Refuses what the policy does not allow, in the order of Amazon's clients: range, mode, commitment, wrap.
 *
 * @param wrap as it will be unwrapped: V1 does not say
 * @throws EnvelopeError `LEGACY_REFUSED`, which names the option that allows it and what that gives up
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
  const also = more === "" ? "" : `. The object takes these options, too: ${more}`;
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
        ? `the object's content is ${name} (format ${format}), which nothing authenticates: to read it`
        : "a range of an object of an S3 Encryption Client cannot be verified, as its one tag is over the whole: read " +
          "the whole object, or";
    found.push([
      "enableLegacyUnauthenticatedModes",
      `${reason} set enableLegacyUnauthenticatedModes: true, by which changed bytes go unnoticed`,
    ]);
  }
  if (policy.commitmentPolicy === "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" && !suite.commits) {
    found.push([
      "commitmentPolicy",
      `the object's content is ${name} (format ${format}), which does not commit to its data key: to read it set ` +
        'commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT", by which whoever can write to the bucket can make an ' +
        "object that opens as one thing under one data key and as another under a second",
    ]);
  }
  if (!policy.enableLegacyWrappingAlgorithms && wrap.isLegacy) {
    found.push([
      "enableLegacyWrappingAlgorithms",
      `the object's data key is wrapped by ${wrap.name} (format ${format}), which does not bind how the content is ` +
        "encrypted: to read it set enableLegacyWrappingAlgorithms: true, by which whoever can write to the bucket " +
        "can have the data key used with another cipher",
    ]);
  }
  return found;
}
