/** Tables for a terminal: columns aligned by display width, so that `±`, accents and wide characters do not break them. */

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

const segments = new Intl.Segmenter();
const WIDE =
  /^(\p{Extended_Pictographic}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6])/u;

/** Columns that a text takes on a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segments.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** Lines of a table: titles, a rule, rows; two spaces between columns, no trailing spaces. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => displayWidth(row[i] ?? ''))));
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, i) => {
        const text = row[i] ?? '';
        const pad = ' '.repeat(widths[i]! - displayWidth(text));
        return align === 'right' ? pad + text : text + pad;
      })
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [line(cells[0]!), rule, ...rows.map(line)].join('\n');
}
