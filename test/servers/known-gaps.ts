/** What a server is known not to do. A check named here must fail there, so that a mended server is noticed. */

/** Server, then the name of the check, then what is wrong. */
export const knownGaps: Readonly<Record<string, Readonly<Record<string, string>>>> = {};
