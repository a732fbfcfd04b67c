/** The encryption context: its type, its checks, and its canonical bytes. format.md 6 specifies them. */
import { recordArgument, wrongType } from "../base/arguments.js";
import { compareUtf8, isIllFormed, quoted } from "../base/bytes.js";

/**
 * Names and values that are bound to the data key and to the body, and that a reader states again. They are authenticated,
 * not secret: anybody can read them in the object's metadata and in CloudTrail.
 */
export type EncryptionContext = Readonly<Record<string, string>>;

/** Context names with this prefix belong to this package. */
export const reservedContextPrefix = "s3-envelope";
/** The most canonical bytes of the context under which a data key is wrapped, the limit of AWS KMS. */
const maxWrappingContextBytes = 8192;
/** The most canonical bytes of a caller's context: the entry of this package takes 33. */
export const maxContextBytes = maxWrappingContextBytes - 33;

/**
 * Checks a context that a caller states, and returns a snapshot of it.
 *
 * @throws TypeError, RangeError that name the entry, never its value
 */
export function contextArgument(title: string, value: unknown): EncryptionContext {
  return checkedContext(title, value, maxContextBytes, contextFault);
}

/** The same for the context that a keyring receives, which has the reserved entries. */
export function wrappingContextArgument(title: string, value: unknown): EncryptionContext {
  return checkedContext(title, value, maxWrappingContextBytes, entryFault);
}

function checkedContext(
  title: string,
  value: unknown,
  maxBytes: number,
  faultOf: (name: string, value: string) => string | undefined,
): EncryptionContext {
  const entries = Object.entries(recordArgument(title, value));
  for (const [name, text] of entries) {
    const entry = `${title}[${quoted(name)}]`;
    if (typeof text !== "string") throw wrongType(entry, "a string", text);
    const fault = faultOf(name, text);
    if (fault) throw new RangeError(`${entry}: ${fault}`);
  }
  const context = contextOf(entries as [string, string][]);
  const bytes = contextBytes(context);
  if (bytes <= maxBytes) return context;
  throw new RangeError(`${title}: expected at most ${maxBytes} bytes in all, got ${bytes}`);
}

/** The fault of an entry of a caller's context, or undefined. */
export function contextFault(name: string, value: string): string | undefined {
  if (name.startsWith(reservedContextPrefix)) {
    return `names that start with "${reservedContextPrefix}" are reserved`;
  }
  return entryFault(name, value);
}

/** The fault of an entry of any context of KMS, or undefined. */
export function entryFault(name: string, value: string): string | undefined {
  if (name === "") return "expected a non-empty name";
  if (name === "__proto__") return "this name cannot be used";
  if (isIllFormed(name) || isIllFormed(value)) return "expected well-formed Unicode, got a lone surrogate";
  return undefined;
}

/** Makes a frozen context of these pairs. */
export function contextOf(pairs: readonly (readonly [string, string])[]): EncryptionContext {
  return Object.freeze(Object.fromEntries(pairs));
}

/** The pairs of a context in canonical order, which objects do not keep: they put names like "10" first. */
export function contextPairs(context: EncryptionContext): [name: string, value: string][] {
  return Object.entries(context).sort(([left], [right]) => compareUtf8(left, right));
}

/** The size of the canonical form of a context, in bytes. */
export function contextBytes(context: EncryptionContext): number {
  return Object.entries(context)
    .flat()
    .reduce((sum, text) => sum + 2 + Buffer.byteLength(text), 2);
}

/**
 * The canonical bytes of a context: the number of its pairs, then for each pair, in the order of the UTF-8
 * bytes of the names, the length and bytes of name and value. Numbers are 16 bits, big-endian.
 */
export function canonicalContext(context: EncryptionContext): Buffer {
  const pairs = contextPairs(context);
  return Buffer.concat([u16(pairs.length), ...pairs.flat().flatMap(lengthAndBytes)]);
}

function lengthAndBytes(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  return [u16(bytes.length), bytes];
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
