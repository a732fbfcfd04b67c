/** Finds secrets in values that may be logged, such as errors with all their properties. */

/** All strings and bytes that are reachable from a value by any property, enumerable or not. */
function reachable(value: unknown): { texts: string[]; bytes: Uint8Array[] } {
  const texts: string[] = [];
  const bytes: Uint8Array[] = [];
  const seen = new Set<unknown>();
  const waiting: unknown[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next === "string") texts.push(next);
    if (typeof next === "symbol") texts.push(String(next));
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if (next instanceof Uint8Array) bytes.push(next);
    if (next instanceof ArrayBuffer) bytes.push(new Uint8Array(next));
    if (ArrayBuffer.isView(next)) continue;
    if (next instanceof Map || next instanceof Set) waiting.push(...next.entries());
    for (const name of Reflect.ownKeys(next)) {
      waiting.push(name);
      try {
        waiting.push(Reflect.get(next, name));
      } catch {
        // A getter that throws reveals nothing.
      }
    }
    // The prototypes define `message`, `stack` and `cause`.
    if (next instanceof Error) waiting.push(next.message, next.stack, next.cause, String(next));
  }
  return { texts, bytes };
}

/** This many characters of an encoded secret, or bytes of it, count as a leak. */
const pieceLength = 8;

/** The pieces of a secret that can be reached from a value: raw, or as base64 or hexadecimal digits. */
export function shownPieces(value: unknown, secret: Uint8Array): string[] {
  const raw = Buffer.from(secret);
  const { texts, bytes } = reachable(value);
  const everything = texts.join("\n");
  const encoded = (["base64", "base64url", "hex", "latin1", "utf8"] as const).map((encoding) =>
    raw.toString(encoding),
  );
  const spoken = [...encoded, raw.toString("hex").toUpperCase(), raw.join(","), raw.join(", ")];
  const found = spoken.flatMap((text) => piecesOf(text).filter((piece) => everything.includes(piece)));
  for (const memory of bytes) {
    const haystack = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
    for (let start = 0; start + pieceLength <= raw.length; start++) {
      const piece = raw.subarray(start, start + pieceLength);
      if (haystack.includes(piece)) found.push(`bytes ${piece.toString("hex")}`);
    }
    found.push(...encoded.flatMap((text) => piecesOf(text).filter((piece) => haystack.includes(piece))));
  }
  return [...new Set(found)];
}

function piecesOf(text: string): string[] {
  return Array.from({ length: Math.max(0, text.length - pieceLength + 1) }, (_, start) =>
    text.slice(start, start + pieceLength),
  );
}
