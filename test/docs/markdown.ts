/** The little markdown that generated documents need. */

/** A table whose columns are padded, so that its source can be read and a formatter leaves it as it is. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(3, title.length, ...rows.map((row) => (row[at] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, at) => (cells[at] ?? "").padEnd(width)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** Blocks with one empty line between them and a final newline. */
export function pageOf(...blocks: readonly string[]): string {
  return `${blocks.join("\n\n")}\n`;
}
