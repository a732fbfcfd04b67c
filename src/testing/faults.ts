/** Scripted faults: what a service is told to do wrong, and to which request. */
import { choiceArgument, integerArgument, stringArgument } from "../arguments.js";
import { fieldsArgument } from "../field-list.js";
import { fieldNames } from "../field-names.js";

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

/** The faults that have not been spent. */
export class FaultScript {
  #pending: { fault: Fault; skip: number; times: number }[] = [];

  /** Adds a fault behind those already there. */
  add(fault: Fault): void {
    const { skip = 0, times = 1 } = faultArgument(fault);
    if (times > 0) this.#pending.push({ fault, skip, times });
  }

  /** Forgets all faults. */
  clear(): void {
    this.#pending = [];
  }

  /** The fault that hits this request, if any. */
  next(service: string, operation: string): Fault | undefined {
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
      return fault;
    }
    return undefined;
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

function faultArgument(value: unknown): Fault {
  const fault = fieldsArgument<Fault>(fieldNames.fault.fault, value) as Fault;
  for (const [name, given] of Object.entries(fault)) {
    if (given !== undefined) checks[name as keyof Fault](`fault.${name}`, given);
  }
  if (fault.status === undefined && (fault.body !== undefined || fault.handled !== undefined)) {
    throw new TypeError("fault.status: expected an integer beside body or handled, got undefined");
  }
  return fault;
}
