/** Finds the known name that a misspelt name probably stands for. */

/** Names from other libraries, in {@link plainForm}, and the names of the same things in this package. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ["signal", "abortSignal"],
  ["s3client", "s3"],
  ["kmsclient", "kms"],
  ["kmskeyid", "keyId"],
]);

/** Longer names are not compared, because the work grows with the product of the lengths. No known name is longer. */
const maxLength = 64;

/** The known name that differs only in case, "_" and "-", or that has this name in other libraries; undefined if there is none. */
export function sameName(name: string, known: readonly string[]): string | undefined {
  if (name.length > maxLength) return undefined;
  const plain = plainForm(name);
  const same = known.find((candidate) => plainForm(candidate) === plain);
  if (same !== undefined) return same;
  const other = otherNames.get(plain);
  return known.find((candidate) => candidate === other);
}

/**
 * The known name that was probably meant: {@link sameName}, or the nearest name within two edits; within one edit for names
 * of three to five letters, and none for shorter ones. Undefined if there is none. Names with different digits, such as
 * ChecksumSHA1 and ChecksumSHA256, never match.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const same = sameName(name, known);
  if (same !== undefined || name.length > maxLength) return same;
  const plain = plainForm(name);
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const other = plainForm(candidate);
    const limit = Math.min(2, Math.floor(other.length / 3));
    if (Math.abs(other.length - plain.length) > limit || digitsOf(other) !== digitsOf(plain)) continue;
    const distance = editDistance(plain, other);
    if (distance <= limit && distance < least) [nearest, least] = [candidate, distance];
  }
  return nearest;
}

function plainForm(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}

function digitsOf(name: string): string {
  return name.replace(/[^0-9]/g, "");
}

/** The number of insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
function editDistance(from: string, to: string): number {
  let [twoBefore, before]: [number[], number[]] = [[], Array.from({ length: to.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (before[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      const edited = Math.min((before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced);
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      row.push(isSwap ? Math.min(edited, (twoBefore[j - 2] ?? 0) + 1) : edited);
    }
    [twoBefore, before] = [before, row];
  }
  return before[to.length] ?? 0;
}
