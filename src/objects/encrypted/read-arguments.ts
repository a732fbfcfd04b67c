/** Arguments that the calls which read an object have in common. */
import { textArgument } from "../../base/arguments.js";
import { contextArgument, type EncryptionContext } from "../../keys/encryption-context.js";
import { refuseFields } from "../../s3/fields.js";

/** The context that an object must have, exactly; or "any" to accept whatever context it has. */
export type ExpectedContext = EncryptionContext | "any";

/** Checks an expected context. Without one the object must have none. */
export function expectedContextArgument(value: unknown): ExpectedContext {
  return statedContextArgument(value) ?? {};
}

/** Checks an expected context; undefined if the caller states none. */
export function statedContextArgument(value: unknown): ExpectedContext | undefined {
  if (value === undefined || value === "any") return value;
  return contextArgument("encryptionContext", value);
}

/** Checks the suffix of an instruction file, which only legacy reading requests. */
export function instructionFileSuffixArgument(
  { legacy }: { readonly legacy: object | undefined },
  value: unknown,
): string | undefined {
  if (value === undefined) return undefined;
  const title = "instructionFileSuffix";
  if (!legacy) refuseFields({ [title]: value }, [title], "legacy reading is off: leave it out");
  return textArgument(title, value);
}
