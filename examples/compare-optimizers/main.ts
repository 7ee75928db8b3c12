// One model, one dataset, ten optimizers: which of them ends best, and how sure is that?
//
//     npm run compare -- --epochs 20 --trials 16 --seeds 5 --output comparison
//
// Each optimizer chooses its learning rate in a study of its own, with as many trials as the
// others. Then it trains as many models with other seeds as the others do. The table is written to
// stdout, with curves below it; comparison.html shows all of it, and comparison.json has the
// numbers. Everything else goes to stderr.
//
// It uses the service at RAPPEL_API_URL (with the key in RAPPEL_API_KEY, if the service needs one).
// Studies and jobs stay there, so that you can look at them. Without RAPPEL_API_URL it starts a
// temporary service.
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { chart } from "../../src/cli/chart.ts";
import { Client } from "../../src/client/client.ts";
import { say, withService } from "../../scripts/own-service.ts";
import { compare, contestants, type Settings } from "./contest.ts";
import { pageOf } from "./page.ts";
import { ranked, type Ranked } from "./ranking.ts";
import { rowsOf, textOf } from "./table.ts";

const { values } = parseArgs({
  options: {
    epochs: { type: "string", default: "20" },
    trials: { type: "string", default: "16" },
    seeds: { type: "string", default: "5" },
    output: { type: "string", default: "comparison" },
  },
});
const settings: Settings = { epochs: count("epochs"), trials: count("trials"), seeds: count("seeds") };

function count(name: keyof Settings): number {
  if (/^[1-9]\d*$/.test(values[name])) return Number(values[name]);
  say(`--${name} must be a number above 0.`);
  return process.exit(2);
}

async function contest(url: string): Promise<Ranked[]> {
  const client = new Client({ url, key: process.env.RAPPEL_API_KEY });
  const digits = await readFile(new URL("../digits.csv", import.meta.url));
  const { id: dataset } = await client.createDataset(digits, { name: "digits" });
  const { trials, seeds } = settings;
  say(
    `Tuning ${Object.keys(contestants).length} optimizers with ${trials} trials each, then ${seeds} seeds, at ${url} …`,
  );
  return ranked(await compare(client, dataset, settings));
}

/** Draws the mean validation losses, the best first. */
function draw(results: readonly Ranked[]): string {
  const curves = Object.fromEntries(results.map(({ name, curves: { mean } }) => [name, mean]));
  const { columns, isTTY } = process.stdout;
  const colored = isTTY && process.stdout.hasColors();
  return chart(curves, { columns: isTTY ? columns : 80, colored, logarithmic: true });
}

const url = process.env.RAPPEL_API_URL;
const results =
  url === undefined
    ? await withService("comparison", contest)
    : await contest(url).catch((error: Error) => {
        say(`The comparison failed: ${error.message}`);
        process.exitCode = 1;
        return null;
      });
if (results !== null) {
  process.stdout.write(`${textOf(rowsOf(results))}\n${draw(results)}\n`);
  await writeFile(`${values.output}.json`, `${JSON.stringify({ settings, results }, null, 2)}\n`);
  await writeFile(`${values.output}.html`, pageOf(results, settings));
  say(`${values.output}.html shows more, and ${values.output}.json has all numbers.`);
}
