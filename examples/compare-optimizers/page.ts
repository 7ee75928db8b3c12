// The comparison as one HTML file, which needs nothing from elsewhere.
import type { Settings } from "./contest.ts";
import { escaped, panels, strips, type Line } from "./figures.ts";
import type { Ranked } from "./ranking.ts";
import { rowsOf } from "./table.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6676; --rule: #d9dee6; --other: #cfd5de; --mark: #1f6feb; --paper: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #9aa5b4; --rule: #333b47; --other: #444e5c; --mark: #6cb0ff; --paper: #14181f; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 76rem; margin: 2rem auto; padding: 0 1.25rem; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; font-size: 1.2rem; }
p { max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
th:nth-child(3), td:nth-child(3) { text-align: left; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: 0.5rem; }
svg { width: 100%; height: auto; }
svg.strips { max-width: 50rem; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg .title { font-weight: 600; font-size: 12px; fill: var(--ink); }
svg .name { text-anchor: end; font-size: 13px; fill: var(--ink); }
svg .tick { text-anchor: middle; font-size: 10px; }
svg .tick.y { text-anchor: end; }
svg path { fill: none; }
svg .grid { stroke: var(--rule); }
svg .other { stroke: var(--other); }
svg .line { stroke: var(--mark); stroke-width: 2; }
svg .mean { stroke: var(--ink); stroke-width: 2; }
svg .band { fill: var(--mark); fill-opacity: 0.2; }
svg .dot { fill: var(--mark); fill-opacity: 0.75; }
`;

export function pageOf(results: readonly Ranked[], { epochs, trials, seeds }: Settings): string {
  const over = (scale: (entry: Ranked) => number) =>
    results.map((entry) => {
      const line = ({ steps, values }: { steps: number[]; values: (number | null)[] }): Line => ({
        xs: steps.map((step) => step * scale(entry)),
        ys: values,
      });
      const { mean, low, high } = entry.curves;
      return { title: entry.name, line: line(mean), band: { low: line(low), high: line(high) } };
    });
  const tuning = results.map(({ name, tried }) => ({
    title: name,
    line: { xs: tried.map(({ lr }) => lr), ys: tried.map(({ loss }) => loss) },
    dots: true,
  }));
  const spread = results.map(({ name, runs, mean }) => ({
    title: name,
    values: runs.flatMap(({ loss }) => (loss === null ? [] : [loss])),
    mean,
  }));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Optimizers compared</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Optimizers compared</h1>
<p>One network on the handwritten digits, ${results.length} optimizers. Each chose its learning rate among the same
range with ${trials} trials, and then trained ${seeds} models with other seeds for ${epochs} epochs. The losses in the
table are of rows that were used neither to train nor to choose the rate. The interval holds 95 of 100 ranks if the
seeds are drawn anew: optimizers whose intervals overlap cannot be told apart by these seeds.</p>
<div class="scroll">${table(results)}</div>
<h2>Each model</h2>
<p>A dot is the test loss of one seed, a bar the mean.</p>
${strips(spread, "The test loss of each seed")}
<h2>Loss over steps</h2>
<p>The validation loss: the mean of the seeds, and from the lowest to the highest of them. The other optimizers are
grey.</p>
${panels(
  over(() => 1),
  { x: "steps", logX: false, label: "the validation loss over steps" },
)}
<h2>Loss over time</h2>
<p>The same over the time that these steps took, several jobs at once.</p>
${panels(
  over((entry) => entry.milliseconds_per_step),
  { x: "milliseconds", logX: true, label: "the validation loss over time" },
)}
<h2>Choice of the rate</h2>
<p>The validation loss at the end of each trial. Trials that diverged are left out.</p>
${panels(tuning, { x: "learning rate", logX: true, label: "the validation loss by learning rate" })}
</body>
</html>
`;
}

function table(results: readonly Ranked[]): string {
  const [head, ...rows] = rowsOf(results);
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
  return `<table><thead>${row(head, "th")}</thead><tbody>${rows.map((cells) => row(cells, "td")).join("\n")}</tbody></table>`;
}
