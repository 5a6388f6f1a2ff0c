/** Rows of a CSV text that arrives in pieces: quotes as in RFC 4180, and the separator of the first line. */

/** One row: its cells, and the line of the file on which it starts, from 1. */
export interface CsvRow {
  readonly cells: readonly string[];
  readonly line: number;
}

const quotes = (text: string): number => (text.includes('"') ? text.split('"').length - 1 : 0);

/** Logical lines: a line break within quotes does not end one. */
async function* linesOf(
  pieces: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<{ text: string; line: number }> {
  let rest = '';
  let open = '';
  let line = 0;
  let start = 1;
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    for (const part of lines) {
      line++;
      if (open === '') start = line;
      const text = open + part;
      if (quotes(text) % 2 === 1) {
        open = `${text}\n`;
        continue;
      }
      open = '';
      yield { text: text.endsWith('\r') ? text.slice(0, -1) : text, line: start };
    }
  }
  if (open + rest !== '') yield { text: open + rest, line: open === '' ? line + 1 : start };
}

function split(text: string, separator: string): string[] {
  if (!text.includes('"')) return text.split(separator);
  const cells: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"' && quoted && text[i + 1] === '"') cell += text[i++];
    else if (c === '"') quoted = !quoted;
    else if (c === separator && !quoted) {
      cells.push(cell);
      cell = '';
    } else cell += c;
  }
  cells.push(cell);
  return cells;
}

function separatorOf(text: string): string {
  const counts = [',', ';', '\t'].map((separator) => ({ separator, count: text.split(separator).length }));
  return counts.reduce((most, next) => (next.count > most.count ? next : most)).separator;
}

/** All rows that are not blank. The separator is whichever of comma, semicolon and tab the first row has most of. */
export async function* csvRows(pieces: AsyncIterable<string> | Iterable<string>): AsyncGenerator<CsvRow> {
  let separator: string | undefined;
  for await (const { text, line } of linesOf(pieces)) {
    const bare = line === 1 ? text.replace(/^\uFEFF/, '') : text;
    if (bare.trim() === '') continue;
    separator ??= separatorOf(bare);
    yield { cells: split(bare, separator), line };
  }
}
