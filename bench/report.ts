/** The last line of a bench's output: its figures as one JSON document. */
export function finish(bench: string, rows: readonly object[]): void {
  console.log(JSON.stringify({ bench, rows }));
}
