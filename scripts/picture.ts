// Draws docs/run.svg, the picture in the README: a real job at a temporary service, as `rappel
// submit --watch` shows it on a terminal. Run it again when the output of the command line has
// changed.
import { readFile, writeFile } from "node:fs/promises";
import type { WriteStream } from "node:tty";
import { watch } from "../src/cli/watch.ts";
import { Client, type SpecInput } from "../src/client/client.ts";
import { withService } from "./own-service.ts";

const COLUMNS = 88;
const [CHARACTER_WIDTH, LINE_HEIGHT, MARGIN] = [8.4, 18, 16];
const COMMAND = "$ npx rappel submit examples/digits-adam.json --data examples/digits.csv --watch";

/** The terminal colors that the chart uses. All others are drawn like text. */
const COLORS: Readonly<Record<string, string>> = { "33": "#e5c07b", "35": "#c678dd", "36": "#56b6c2" };
const [TEXT, BACKGROUND] = ["#d7dae0", "#1e2127"];

const examples = new URL("../examples/", import.meta.url);

await withService("picture", async (url) => {
  const client = new Client({ url });
  const dataset = await client.createDataset(await readFile(new URL("digits.csv", examples)));
  const spec = JSON.parse(await readFile(new URL("digits-adam.json", examples), "utf8")) as SpecInput;
  const { id } = await client.createJob({ ...spec, data: { ...spec.data, dataset: dataset.id } });
  let block = "";
  const terminal = {
    isTTY: true,
    columns: COLUMNS,
    hasColors: () => true,
    moveCursor: () => true,
    clearScreenDown: () => true,
    write: (text: string) => (block = text),
  };
  await watch(client, id, terminal as unknown as WriteStream);
  await writeFile(new URL("../docs/run.svg", import.meta.url), drawn([COMMAND, ...block.trimEnd().split("\n")]));
});

function drawn(lines: readonly string[]): string {
  const width = Math.ceil(COLUMNS * CHARACTER_WIDTH + 2 * MARGIN);
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN;
  const texts = lines.map((line, i) => {
    const y = MARGIN + (i + 0.75) * LINE_HEIGHT;
    return `<text x="${MARGIN}" y="${y}" xml:space="preserve">${spans(line)}</text>`;
  });
  return `<!-- Drawn by scripts/picture.ts. -->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="A job on a terminal">
<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>
<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="${TEXT}">
${texts.join("\n")}
</g>
</svg>
`;
}

/** A line in the colors of the terminal: each part ends where the next color begins. */
function spans(line: string): string {
  return line
    .split("\u001b[")
    .map((part, i) => {
      const [code] = i === 0 ? [""] : part.split("m", 1);
      const text = i === 0 ? part : part.slice(code.length + 1);
      return text === "" ? "" : `<tspan fill="${COLORS[code] ?? TEXT}">${escaped(text)}</tspan>`;
    })
    .join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
