/** Scripted faults: what a service does wrong, and to which requests. */
import { choiceArgument, integerArgument, stringArgument } from "../base/arguments.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import { Hold, type HoldPlace } from "./hold.js";

/** One fault. It applies to `times` matching requests after skipping `skip` of them. */
export interface Fault {
  readonly service?: "s3" | "kms";
  /** The operation by its AWS API name, such as "UploadPart"; any by default. */
  readonly operation?: string;
  /** The number of matching requests to skip; 0 by default. */
  readonly skip?: number;
  /** The number of requests that it applies to; 1 by default, Infinity for all. */
  readonly times?: number;
  /** Respond with this status, `code` and `message` instead of handling the request. */
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
  /** With `status`: respond with this text as HTML and without a request ID, as a proxy would. */
  readonly body?: string;
  /** With `status`: let the request take effect first; false by default. */
  readonly handled?: boolean;
  /** Milliseconds to wait before anything else. */
  readonly delayMs?: number;
  /** Break the connection before the request is handled, or after it has taken effect. */
  readonly reset?: "before" | "after";
  /** Break the connection after this number of bytes of the response's body. */
  readonly truncateBodyBytes?: number;
  /** Send this number of bytes of the response's body, then nothing, and keep the connection open. */
  readonly stallBodyBytes?: number;
  /** Change the byte at this offset of the response's body. */
  readonly corrupt?: { readonly offset: number; readonly xor: number };
}

/**
 * Selects the requests that {@link LocalAws.hold} stops, and where. A fault in the other fields applies when
 * they are released.
 */
export interface HoldOptions extends Fault {
  /**
   * "before" the request is handled (the default); "after" it has taken effect and before its response is
   * sent; or in the "body" of its response, after `bodyBytes`.
   */
  readonly at?: HoldPlace;
  /**
   * With `at: "body"`: the number of bytes of the body to send first, or all if it has fewer; 0 by default.
   */
  readonly bodyBytes?: number;
}

/** What happens to one request. */
export interface ScriptedFault {
  readonly fault: Fault;
  /** The hold that the request waits for first, if there is one. */
  readonly hold: Hold | undefined;
}

/** The faults that still apply to later requests. */
export class FaultScript {
  #pending: (ScriptedFault & { skip: number; times: number })[] = [];
  #holds: Hold[] = [];

  /** Adds a fault after the existing ones. */
  add(fault: Fault): void {
    const given = fieldsArgument<Fault>(fieldNames.fault.fault, fault) as Fault;
    this.#add(checkedFault("fault", given, checks), undefined);
  }

  /** Adds a hold after the existing faults. */
  hold(options: HoldOptions): Hold {
    const fields = fieldsArgument<HoldOptions>(fieldNames.hold.hold, options) as HoldOptions;
    const given = checkedFault("hold", fields, { ...checks, ...holdChecks });
    const { at = "before", bodyBytes, ...fault } = given;
    if (bodyBytes !== undefined && at !== "body") {
      throw new TypeError('hold.at: expected "body" beside bodyBytes');
    }
    const hold = new Hold(at, bodyBytes ?? 0);
    this.#holds = [...this.#holds.filter(({ holds }) => holds), hold];
    this.#add(fault, hold);
    return hold;
  }

  /** Removes all faults and releases held requests. */
  clear(): void {
    this.#pending = [];
    for (const hold of this.#holds) hold.release();
    this.#holds = [];
  }

  /** Returns the fault and the hold for this request, if any. */
  next(service: string, operation: string): ScriptedFault | undefined {
    this.#pending = this.#pending.filter(({ hold }) => hold?.holds ?? true);
    for (const entry of this.#pending) {
      const { fault } = entry;
      if (fault.service !== undefined && fault.service !== service) continue;
      if (fault.operation !== undefined && fault.operation !== operation) continue;
      if (entry.skip > 0) {
        entry.skip -= 1;
        continue;
      }
      entry.times -= 1;
      if (entry.times <= 0) this.#pending = this.#pending.filter((other) => other !== entry);
      return entry;
    }
    return undefined;
  }

  #add(fault: Fault, hold: Hold | undefined): void {
    const { skip = 0, times = 1 } = fault;
    if (times > 0) this.#pending.push({ fault, hold, skip, times });
  }
}

type Corruption = NonNullable<Fault["corrupt"]>;

const most = Number.MAX_SAFE_INTEGER;
const number = (least: number, greatest: number) => (title: string, value: unknown) =>
  integerArgument(title, value, least, greatest);
/** A check for each field. */
const checks: Readonly<Record<keyof Fault, (title: string, value: unknown) => unknown>> = {
  service: (title, value) => choiceArgument(title, value, ["s3", "kms"]),
  operation: stringArgument,
  skip: number(0, most),
  times: (title, value) => value === Number.POSITIVE_INFINITY || integerArgument(title, value, 0, most),
  status: number(200, 599),
  code: stringArgument,
  message: stringArgument,
  body: stringArgument,
  handled: (title, value) => choiceArgument(title, value, [true, false]),
  delayMs: number(0, 2 ** 31 - 1),
  reset: (title, value) => choiceArgument(title, value, ["before", "after"]),
  truncateBodyBytes: number(0, most),
  stallBodyBytes: number(0, most),
  corrupt: (title, value) => {
    const { offset, xor } = fieldsArgument<Corruption>(fieldNames.fault.corrupt, value, title);
    integerArgument(`${title}.offset`, offset, 0, most);
    integerArgument(`${title}.xor`, xor, 1, 255);
  },
};

/** The checks of the fields that only a hold has. */
const holdChecks = {
  at: (title: string, value: unknown) => choiceArgument(title, value, ["before", "after", "body"]),
  bodyBytes: number(0, most),
};

function checkedFault<T extends Fault>(
  title: string,
  fault: T,
  known: Readonly<Record<keyof T, (title: string, value: unknown) => unknown>>,
): T {
  for (const name of Object.keys(known) as (keyof T & string)[]) {
    if (fault[name] !== undefined) known[name](`${title}.${name}`, fault[name]);
  }
  if (fault.status === undefined && (fault.body !== undefined || fault.handled !== undefined)) {
    throw new TypeError(`${title}.status: expected an integer beside body or handled, got undefined`);
  }
  return fault;
}
