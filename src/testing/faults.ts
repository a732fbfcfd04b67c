/** Scripted faults: what a service is told to do wrong, and to which request. */
import { choiceArgument, integerArgument, stringArgument } from "../base/arguments.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import { Hold, type HoldPlace } from "./hold.js";

/** One fault. It waits for matching requests, hits `times` of them after letting `skip` through, and is spent. */
export interface Fault {
  readonly service?: "s3" | "kms";
  /** The operation as the AWS API names it, such as "UploadPart"; any by default. */
  readonly operation?: string;
  /** Matching requests let through first; 0 by default. */
  readonly skip?: number;
  /** How many requests it hits; 1 by default, Infinity for all. */
  readonly times?: number;
  /** Answer this status instead of handling the request; with `code` and `message`. */
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
  /** With `status`: answer this text as HTML, as something between client and service would, and no request id. */
  readonly body?: string;
  /** With `status`: let the request take effect before it is answered so; false by default. */
  readonly handled?: boolean;
  /** Wait so many milliseconds before anything else. */
  readonly delayMs?: number;
  /** Break the connection before the request is handled, or after it took effect. */
  readonly reset?: "before" | "after";
  /** Break the connection after so many bytes of the answer's body. */
  readonly truncateBodyBytes?: number;
  /** Send so many bytes of the answer's body, then nothing, and leave the connection open. */
  readonly stallBodyBytes?: number;
  /** Change the byte at this offset of the answer's body. */
  readonly corrupt?: { readonly offset: number; readonly xor: number };
}

/** Which requests {@link LocalAws.hold} stops, and where; what else a fault does to them happens when they go on. */
export interface HoldOptions extends Fault {
  /**
   * "before" the request is handled, which is the default; "after" it took effect, before its response is sent; or
   * within the "body" of its response, after `bodyBytes`.
   */
  readonly at?: HoldPlace;
  /** With `at: "body"`: so many bytes of the body are sent first, all if it has fewer; 0 by default. */
  readonly bodyBytes?: number;
}

/** What happens to one request. */
export interface Strike {
  readonly fault: Fault;
  /** Where the request waits first. */
  readonly hold: Hold | undefined;
}

/** The faults that have not been spent. */
export class FaultScript {
  #pending: (Strike & { skip: number; times: number })[] = [];
  #holds: Hold[] = [];

  /** Adds a fault behind those already there. */
  add(fault: Fault): void {
    const given = fieldsArgument<Fault>(fieldNames.fault.fault, fault) as Fault;
    this.#add(checkedFault("fault", given, checks), undefined);
  }

  /** Adds a hold behind the faults already there. */
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

  /** Forgets all faults; requests that are held go on. */
  clear(): void {
    this.#pending = [];
    for (const hold of this.#holds) hold.release();
    this.#holds = [];
  }

  /** What hits this request, if anything. */
  next(service: string, operation: string): Strike | undefined {
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
