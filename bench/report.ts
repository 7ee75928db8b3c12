/**
 * The end of a bench's output: its figures as a table, and as one JSON document in the last line.
 */
export function finish(bench: string, rows: readonly object[]): void {
  console.table(rows);
  console.log(JSON.stringify({ bench, rows }));
}
