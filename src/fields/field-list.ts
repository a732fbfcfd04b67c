/** Checks the names of the fields in an argument, such as the input or the options of a call. */
import { recordArgument } from "../base/arguments.js";
import { quoted } from "../base/bytes.js";
import { nearestName, sameName } from "./spelling.js";

/**
 * The unlisted names that are accepted: none; names that begin with a capital letter, as all fields of the AWS SDK's
 * requests do, so that fields of newer releases of the SDK are accepted; or any name. Names that resemble a listed name
 * are never accepted.
 */
type OtherNames = "none" | "capitals" | "any";

/** An argument of a call, and the names of its fields. */
interface Argument {
  readonly call: string;
  /** The name of the argument: "input", "options". */
  readonly argument: string;
  readonly accepted: readonly string[];
}

/** The names of the fields of one argument. `Name` consists of exactly those that the call accepts. */
export interface FieldList<in out Name extends string> extends Argument {
  readonly accepted: readonly Name[];
  /** Known names that this call does not accept, each with the reason. */
  readonly refused: Readonly<Record<string, string>>;
  readonly others: OtherNames;
  /** Arguments to which a name that is not accepted may belong: the others of the call, and the options of its client. */
  readonly elsewhere: readonly Argument[];
  /** Makes the type exact: a list with more or fewer names has another type. */
  readonly isExact?: (name: Name) => void;
}

/** The names of the fields of all variants of an argument. */
export type NamesOf<T> = T extends unknown ? keyof T & string : never;

/** The fields of an argument. Each is an own property, undefined if it was not given. The values are not checked. */
export type Fields<T> = { readonly [Name in NamesOf<T>]: unknown };

/**
 * Takes a snapshot of an argument and checks the names of its fields. It reads each own enumerable field once and ignores
 * symbols. Every known name is a property of the result, so that a spread copy of it finds no field on `Object.prototype`.
 *
 * @throws TypeError that names the field, and the name or the argument that was probably meant; also for an argument that is
 *   not a plain object
 */
export function fieldsArgument<T>(
  list: FieldList<NamesOf<T>>,
  value: unknown,
  title: string = list.argument,
): Fields<T> {
  const fields: Record<string, unknown> = statedFields<T>(list, value, title);
  for (const names of [list.accepted, Object.keys(list.refused)]) {
    for (const name of names) if (!(name in fields)) fields[name] = undefined;
  }
  return fields as Fields<T>;
}

/** Does the same as {@link fieldsArgument}, but returns only the given fields. The result has no prototype. */
export function statedFields<T>(
  list: FieldList<NamesOf<T>>,
  value: unknown,
  title: string = list.argument,
): Partial<Fields<T>> {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, given] of Object.entries(recordArgument(title, value))) fields[name] = given;
  for (const name of Object.keys(fields)) {
    const fault = faultOf(list, name, fields[name]);
    if (fault !== undefined) throw new TypeError(`${titleOf(title, name)}: ${fault}`);
  }
  return fields as Partial<Fields<T>>;
}

type AnyList = Omit<FieldList<string>, "isExact">;

/** The fault of a field; undefined if the call accepts it or the SDK may know it. */
function faultOf(list: AnyList, name: string, value: unknown): string | undefined {
  if (list.accepted.includes(name)) return undefined;
  if (!Object.hasOwn(list.refused, name)) return nameFault(list, name);
  return value === undefined ? undefined : list.refused[name];
}

function nameFault(list: AnyList, name: string): string | undefined {
  const { call, argument, accepted, elsewhere, others } = list;
  const placeOf = (other: Argument) => `in the ${other.argument} of ${other.call}`;
  const misplaced = elsewhere.find((other) => other.accepted.includes(name));
  if (misplaced) return `it belongs ${placeOf(misplaced)}`;
  const unknown = `${call} has no such ${argument === "options" ? "option" : "field"}`;
  const nearest = nearestName(name, [...accepted, ...Object.keys(list.refused)]);
  if (nearest !== undefined) return `${unknown}, did you mean ${nearest}?`;
  for (const other of elsewhere) {
    const same = sameName(name, other.accepted);
    if (same !== undefined) return `${unknown}, did you mean ${same} ${placeOf(other)}?`;
  }
  if (others === "any" || (others === "capitals" && /^[A-Z]/.test(name))) return undefined;
  return accepted.length > 16 ? unknown : `${unknown}; it has ${[...accepted].sort().join(", ")}`;
}

/** The name of a field in messages, where those of an input have no prefix. */
function titleOf(title: string, name: string): string {
  if (!/^[$\w-]{1,64}$/.test(name)) return `${title}[${quoted(name.slice(0, 64))}]`;
  return title === "input" ? name : `${title}.${name}`;
}

/** The names of an argument, before it is part of a call. */
export type Names<Name extends string> = Pick<FieldList<Name>, "accepted" | "refused" | "others" | "isExact">;

/** Accepts these names and no others. */
export function only<const Name extends string>(...accepted: Name[]): Names<Name> {
  return { accepted, refused: {}, others: "none" };
}

/**
 * Accepts names of this package and of the SDK.
 *
 * @param refused names that the call does not accept, each with the reason, which a message states after the name
 */
export function beside<const Sdk extends string, Refused extends string, const Own extends readonly string[]>(
  sdk: readonly Sdk[],
  refused: Readonly<Record<Refused, string>>,
  ...names: Own
): Names<Own[number] | Exclude<Sdk, Refused>> {
  const taken = sdk.filter((name) => !Object.hasOwn(refused, name)) as Exclude<Sdk, Refused>[];
  const accepted: readonly (Own[number] | Exclude<Sdk, Refused>)[] = [...names, ...taken];
  return { accepted, refused, others: "capitals" };
}

/** Accepts these names, and others unless they resemble one of these. */
export function lenient<Name extends string>(names: Names<Name>): Names<Name> {
  return { ...names, others: "any" };
}

/** Gives the same reason for each name. */
export function each<const Name extends string>(
  names: readonly Name[],
  reason: string,
): Record<Name, string> {
  return Object.fromEntries(names.map((name) => [name, reason])) as Record<Name, string>;
}

type Lists<Arguments> = {
  readonly [Name in keyof Arguments]: Arguments[Name] extends Names<infer Accepted>
    ? FieldList<Accepted>
    : never;
};

/**
 * Makes the lists of one call, by its arguments.
 *
 * @param client the options of the client that has the call
 */
export function call<Arguments extends object>(
  name: string,
  args: Arguments,
  client?: Argument,
): Lists<Arguments> {
  const lists = Object.entries(args).map(([argument, names]) => ({ ...names, call: name, argument }));
  const all = client ? [...lists, client] : lists;
  return Object.fromEntries(
    lists.map((list) => [list.argument, { ...list, elsewhere: all.filter((other) => other !== list) }]),
  ) as Lists<Arguments>;
}
