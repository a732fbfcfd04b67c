/** Rewrites or removes fields of a response whose form would make the AWS SDK reject the whole response. */

/** Headers that hold a date in the form of HTTP. */
const httpDates = ["last-modified", "x-amz-abort-date"];
/** Headers that hold a date in the form of ISO 8601. */
const isoDates = ["x-amz-object-lock-retain-until-date"];
const counts = [
  "content-length",
  "x-amz-missing-meta",
  "x-amz-mp-parts-count",
  "x-amz-object-size",
  "x-amz-tagging-count",
];
const booleans = ["x-amz-delete-marker", "x-amz-server-side-encryption-bucket-key-enabled"];

/** Rewrites or removes the headers of a response that do not parse. */
export function tidyHeaders(headers: Record<string, string | undefined>): void {
  const tidy = (names: readonly string[], read: (value: string) => string | undefined) => {
    for (const name of names) {
      const value = headers[name];
      if (value === undefined) continue;
      const tidied = read(value);
      if (tidied === undefined) delete headers[name];
      else headers[name] = tidied;
    }
  };
  tidy(httpDates, (value) => dateOf(value)?.toUTCString());
  tidy(isoDates, (value) => dateOf(value)?.toISOString());
  tidy(counts, (value) => (/^\d{1,15}$/.test(value) ? value : undefined));
  tidy(booleans, (value) => (/^(true|false)$/i.test(value) ? value : undefined));
}

const xmlDates = /<(LastModified|Initiated|AbortDate|CreationDate)>([^<]*)<\/\1>/g;

/** Rewrites or removes the dates in the XML of a response that do not parse. */
export function tidyXml(text: string): string {
  // In CDATA, a name that the caller chose could look like an element.
  if (text.includes("<![CDATA[")) return text;
  return text.replaceAll(xmlDates, (element: string, name: string, value: string) => {
    if (isoDate.test(value.trim()) && !Number.isNaN(Date.parse(value))) return element;
    const date = dateOf(value);
    return date ? `<${name}>${date.toISOString()}</${name}>` : "";
  });
}

/** The date-time of RFC 3339, which is what S3 writes in XML. */
const isoDate = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
/** ISO 8601 as some stores write it: without a zone, which is then UTC, or with a space. */
const looseIsoDate = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)\s*([Zz]|[+-]\d\d:?\d\d)?$/;
/** The forms of HTTP (RFC 9110), and the zone of RFC 5322. */
const httpDate = /^[A-Z][a-z]{2,8}, .{1,40}(GMT|UTC|[+-]\d{4})$/;
/** The form of C's asctime(), in UTC. */
const asctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/;

function dateOf(text: string): Date | undefined {
  const value = text.trim();
  const iso = looseIsoDate.exec(value);
  const [, day, time, zone = "Z"] = iso ?? [];
  const readable = iso
    ? `${day}T${time}${zone.toUpperCase()}`
    : asctime.test(value)
      ? `${value} GMT`
      : httpDate.test(value)
        ? value
        : "";
  const date = new Date(Date.parse(readable));
  const year = date.getUTCFullYear();
  return year >= 1000 && year <= 9999 ? date : undefined;
}
