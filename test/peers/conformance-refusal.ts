/** Translates refusals of this library for the public suite, which expects the messages of Amazon's client for Java. */
import { EnvelopeError } from "../../src/base/errors.js";

/** A caller's mistake: the field, then what is wrong. No other TypeError or RangeError begins like that. */
const argumentForm = /^[A-Za-z][\w.]*(\[.*\])?: /s;

/**
 * The message for what the library has refused; undefined for all else, which is a fault of the server or the library.
 *
 * A message tells the code and never the object, its key or where it is: the suite compares the messages of objects that
 * differ in their wrapped keys alone, and they must be the same byte for byte.
 */
export function refusalMessage(error: unknown): string | undefined {
  if (error instanceof EnvelopeError) return suiteText(error) ?? codeText(error);
  const isArgument = error instanceof TypeError || error instanceof RangeError;
  return isArgument && argumentForm.test(error.message) ? error.message : undefined;
}

/** The words of Amazon's client for Java: the suite wants them in rows 3, 4, 7 and 18 of the reference's section 8. */
function suiteText({ code, details }: EnvelopeError): string | undefined {
  if (code === "CONTEXT_MISMATCH") {
    return "Provided encryption context does not match information retrieved from S3";
  }
  if (code === "LEGACY_REFUSED" && details.option === "enableLegacyWrappingAlgorithms") {
    return `Enable legacy wrapping algorithms to use legacy key wrapping algorithm: ${details.wrap}`;
  }
  if (code === "LEGACY_REFUSED" && details.option === "enableLegacyUnauthenticatedModes") {
    const use =
      details.content === "AES/CBC/PKCS5Padding"
        ? `legacy content decryption: ${details.content}`
        : "Ranged Get.";
    return `Enable legacy unauthenticated modes to use ${use}`;
  }
  return undefined;
}

function codeText({ code, details }: EnvelopeError): string {
  return details.option === undefined ? code : `${code}: ${details.option}`;
}
