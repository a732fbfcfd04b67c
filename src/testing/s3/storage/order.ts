/**
 * The order of S3's listings: keys by their bytes, versions and uploads by age, with which their IDs begin.
 */

const stampLength = 9;

/** Compares keys by their bytes in UTF-8. */
export function byBytes(left: string, right: string): number {
  const surrogate = /[\ud800-\udfff]/;
  if (surrogate.test(left) || surrogate.test(right)) {
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A number as the beginning of an ID: IDs then sort by number. */
export function stamp(number: number): string {
  return number.toString(36).padStart(stampLength, "0");
}

/** The number that an ID begins with; NaN if there is none. */
export function stampedNumber(id: string): number {
  return Number.parseInt(id.slice(0, stampLength), 36);
}
