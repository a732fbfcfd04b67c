/** The little XML that S3 speaks: documents out, one flat document in. */

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

/**
 * Reads a document of the form root > many `item` > text fields, the only one that clients send here.
 *
 * @returns the fields of each item; undefined when the document has any other form
 */
export function parseItems(text: string, root: string, item: string): Record<string, string>[] | undefined {
  const document = new RegExp(
    `^\\s*(?:<\\?xml[^?]*\\?>)?\\s*<${root}(?:\\s[^>]*)?>(.*)</${root}>\\s*$`,
    "s",
  ).exec(text);
  if (!document) return undefined;
  const items: Record<string, string>[] = [];
  const rest = (document[1] ?? "").replace(
    new RegExp(`<${item}>(.*?)</${item}>`, "gs"),
    (_, inner: string) => {
      const fields: Record<string, string> = {};
      const left = inner.replace(/<([A-Za-z0-9]+)>([^<]*)<\/\1>/g, (_field, name: string, value: string) => {
        fields[name] = unescapeText(value);
        return "";
      });
      if (left.trim() === "") items.push(fields);
      return left.trim();
    },
  );
  return rest.trim() === "" ? items : undefined;
}

function escapeText(text: string): string {
  return text.replace(/[&<>"\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescapeText(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(amp|lt|gt|quot|apos));/g, (_, decimal, hex, name) => {
    if (name !== undefined) return entities[name as string] ?? "";
    return String.fromCodePoint(Number.parseInt((decimal ?? hex) as string, decimal === undefined ? 16 : 10));
  });
}
