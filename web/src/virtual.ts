/** Which of very many equally high rows of cards have to be there. */

export interface Layout {
  readonly columns: number;
  readonly rowHeight: number;
  readonly rows: number;
  readonly height: number;
}

export function layout(width: number, count: number, least: number, gap: number, heightOf: (w: number) => number): Layout {
  const columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
  const rowHeight = heightOf((width - gap * (columns - 1)) / columns) + gap;
  const rows = Math.ceil(count / columns);
  return { columns, rowHeight, rows, height: Math.max(0, rows * rowHeight - gap) };
}

/** Cards `[from, to)` for a window on the rows, with some rows more at both sides. */
export function visible(
  { columns, rowHeight, rows }: Layout,
  top: number,
  windowHeight: number,
  count: number,
  more = 2,
): { from: number; to: number } {
  const first = Math.max(0, Math.floor(top / rowHeight) - more);
  const last = Math.min(rows, Math.ceil((top + windowHeight) / rowHeight) + more);
  return { from: Math.min(first * columns, count), to: Math.max(0, Math.min(last * columns, count)) };
}
