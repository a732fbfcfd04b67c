/** An SVG of horizontal bars, one panel for each table that is charted. */
import { formatMachine, formatNumber } from "./report.js";
import type { Results, Row, Table } from "./results.js";

const width = 860;
const nameWidth = 270;
const valueWidth = 190;
const rowHeight = 22;
const barWidth = width - nameWidth - valueWidth;

/** Draws the tables of the largest encrypt and decrypt, of uploads and of downloads, as far as they are there. */
export function chart(results: Results): string {
  const panels: string[] = [];
  let top = 56;
  for (const table of chartedTables(results.tables)) {
    panels.push(panel(table, top));
    top += 34 + table.rows.length * rowHeight + 18;
  }
  const label = "s3-envelope beside others: rates, longer is better";
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" role="img" aria-label="${label}" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="12" y="24" font-size="15" font-weight="600" fill="#1f2328">${label}</text>
<text x="12" y="42" font-size="11" fill="#59636e">${escapeXml(formatMachine(results))}</text>
${panels.join("\n")}
</svg>
`;
}

function chartedTables(tables: readonly Table[]): readonly Table[] {
  const ids = new Map(tables.map((table) => [table.id, table]));
  const largest = (direction: string) =>
    tables.findLast(({ id }) => id.startsWith(`${direction}-`) && id !== "encrypt-memory");
  const wanted = [largest("encrypt"), largest("decrypt"), ids.get("upload"), ids.get("download")];
  return wanted.filter((table) => table !== undefined);
}

function panel(table: Table, top: number): string {
  const most = Math.max(...table.rows.map(({ max }) => max));
  const scale = (value: number) => Number(((value / most) * barWidth).toFixed(1));
  const bars = table.rows.map((row, index) => bar(row, table.unit, top + 34 + index * rowHeight, scale));
  const title = escapeXml(table.title.split(";")[0] ?? table.title);
  return `<text x="12" y="${top + 20}" font-weight="600" fill="#1f2328">${title}</text>\n${bars.join("\n")}`;
}

function bar(row: Row, unit: string, y: number, scale: (value: number) => number): string {
  const middle = y + 8;
  const [low, high] = [nameWidth + scale(row.min), nameWidth + scale(row.max)];
  const figures = `${row.ratio.toFixed(2)}x, ${formatNumber(row.median)} ${unit}`;
  return `<text x="${nameWidth - 8}" y="${y + 12}" text-anchor="end" fill="#1f2328">${escapeXml(row.name)}</text>
<rect x="${nameWidth}" y="${y}" width="${scale(row.median)}" height="16" fill="${colour(row.name)}"/>
<path d="M${low} ${middle}H${high}M${low} ${middle - 4}v8M${high} ${middle - 4}v8" stroke="#1f2328" fill="none"/>
<text x="${width - valueWidth + 10}" y="${y + 12}" fill="#1f2328">${figures}</text>`;
}

function colour(name: string): string {
  if (/s3-envelope|^encrypted/.test(name)) return "#0969da";
  return name.startsWith("limit") ? "#d0d7de" : "#8c959f";
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
