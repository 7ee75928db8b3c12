// The table of the results, as cells.
import type { Ranked } from "./ranking.ts";

const HEAD = ["rank", "95 %", "optimizer", "lr", "test loss", "± seeds", "accuracy", "ms/step"];

/** The head, and a row for each optimizer. */
export function rowsOf(results: readonly Ranked[]): string[][] {
  const figure = (value: number | null) => (value === null ? "diverged" : value.toFixed(4));
  return [
    HEAD,
    ...results.map(
      ({ rank, interval: [low, high], name, lr, mean, deviation, accuracy, milliseconds_per_step: ms }) => [
        String(rank),
        low === high ? String(low) : `${low}–${high}`,
        name,
        String(Number(lr.toPrecision(2))),
        figure(mean),
        figure(deviation),
        figure(accuracy),
        ms.toFixed(3),
      ],
    ),
  ];
}

/** The table as text: names begin at the left, numbers end at the right. */
export function textOf(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const isName = (column: number) => HEAD[column] === "optimizer";
  return rows
    .map((row) =>
      row
        .map((cell, i) => (isName(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
