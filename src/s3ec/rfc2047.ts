/** Decodes metadata beyond ASCII as S3 returns it: RFC 2047 encoded words of UTF-8 that was encoded as UTF-8 twice. */

const word = /=\?utf-8\?([bq])\?([!->@-~]*)\?=/giy;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reverses the encoding of metadata beyond ASCII by S3 and HTTP.
 *
 * S3 reads the UTF-8 bytes of a header as Latin-1 and returns the text as encoded words of UTF-8. Other stores encode only
 * once, or return the bytes, which Node reads as Latin-1. So characters that are valid UTF-8 when taken as Latin-1 bytes are
 * decoded, and all others stay as they are.
 *
 * @returns undefined when the text starts like an encoded word but is not a sequence of encoded words in UTF-8
 */
export function decodeMetadataText(text: string): string | undefined {
  const decoded = text.startsWith("=?") ? decodeWords(text) : text;
  return decoded?.replace(/[\u0080-\u00ff]+/g, (run) => decodeUtf8(Buffer.from(run, "latin1")) ?? run);
}

/** Joins the bytes of all words before it decodes them, as some stores split a character between two words. */
function decodeWords(text: string): string | undefined {
  const pieces: Buffer[] = [];
  for (let at = 0; at < text.length; ) {
    word.lastIndex = at;
    const [found = "", encoding = "", content = ""] = word.exec(text) ?? [];
    const bytes = encoding.toLowerCase() === "b" ? decodeB(content) : decodeQ(content);
    if (found === "" || !bytes) return undefined;
    pieces.push(bytes);
    at += found.length;
    while (text[at] === " " || text[at] === "\t" || text[at] === "\r" || text[at] === "\n") at++;
  }
  return decodeUtf8(Buffer.concat(pieces));
}

function decodeB(content: string): Buffer | undefined {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(content)
    ? Buffer.from(content, "base64")
    : undefined;
}

function decodeQ(content: string): Buffer | undefined {
  if (/=(?![0-9A-Fa-f]{2})/.test(content)) return undefined;
  const bytes = content
    .replaceAll("_", " ")
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
