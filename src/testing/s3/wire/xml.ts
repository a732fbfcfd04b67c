/** The subset of XML that S3 uses: writes documents, reads small ones. */

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

/** An element with text, escaped; nothing for undefined. */
export function element(name: string, text: string | number | boolean | undefined): string {
  return text === undefined ? "" : `<${name}>${escapeText(String(text))}</${name}>`;
}

/** An element with elements inside. */
export function group(name: string, elements: readonly string[]): string {
  return `<${name}>${elements.join("")}</${name}>`;
}

/** A whole document. */
export function xmlDocument(root: string, elements: readonly string[]): Buffer {
  const open = root === "Error" ? `<${root}>` : `<${root} xmlns="${namespace}">`;
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${open}${elements.join("")}</${root}>`);
}

/** An element that was read. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/**
 * Reads a document of elements and text, the only kind that clients send: attributes are ignored; comments,
 * CDATA and entities other than XML's own five are not supported.
 *
 * @returns the root; undefined if the document is not well-formed
 */
export function parseXml(document: string): XmlElement | undefined {
  const open: { name: string; text: string; children: XmlElement[] }[] = [
    { name: "", text: "", children: [] },
  ];
  if (forbidden.test(document)) return undefined;
  const body = document.replace(/^\uFEFF?\s*<\?xml[^?]*\?>/, "");
  const token = /<(\/?)([A-Za-z][\w.-]*)(?:\s[^<>]*?)?(\/?)>|([^<>]+)/gy;
  let end = 0;
  for (let match = token.exec(body); match; match = token.exec(body)) {
    end = token.lastIndex;
    const [, closing, name = "", empty, text] = match;
    const top = open.at(-1);
    if (!top) return undefined;
    if (text !== undefined) {
      const plain = unescapeText(text);
      if (plain === undefined) return undefined;
      top.text += plain;
    } else if (!closing) open.push({ name, text: "", children: [] });
    if (closing || empty) {
      const done = open.pop();
      if (!done || done.name !== name || (closing && empty)) return undefined;
      if (done.children.length > 0 && done.text.trim() !== "") return undefined;
      open.at(-1)?.children.push(done);
    }
  }
  const [outside] = open;
  const whole = end === body.length && open.length === 1 && outside?.text.trim() === "";
  return whole && outside.children.length === 1 ? outside.children[0] : undefined;
}

/** The children of an element that have this name. */
export function childrenOf(parent: XmlElement | undefined, name: string): readonly XmlElement[] {
  return parent?.children.filter((child) => child.name === name) ?? [];
}

/** The text of the first child that has this name. */
export function childText(parent: XmlElement | undefined, name: string): string | undefined {
  return childrenOf(parent, name)[0]?.text;
}

function escapeText(text: string): string {
  return text.replace(/[&<>"\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
/** Characters that XML 1.0 does not allow, literally or as a reference. */
const forbidden = /(?![\t\n\r\u007f-\u009f])[\p{Cc}\p{Cs}\ufffe\uffff]/u;
const strayAmpersand = /&(?!#\d+;|#x[\da-fA-F]+;|(?:amp|lt|gt|quot|apos);)/;

/** The text with its references resolved; undefined if a reference is to no character. */
function unescapeText(text: string): string | undefined {
  if (strayAmpersand.test(text)) return undefined;
  const plain = text.replace(/&(?:#(\d+)|#x([\da-fA-F]+)|([a-z]+));/g, (_, decimal, hex, name) => {
    if (name !== undefined) return entities[name as string] ?? "";
    const code = Number.parseInt((decimal ?? hex) as string, decimal === undefined ? 16 : 10);
    return String.fromCodePoint(code > 0x10ffff ? 0xffff : code);
  });
  return forbidden.test(plain) ? undefined : plain;
}
