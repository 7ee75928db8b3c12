// Small charts as SVG. Each optimizer has a panel of its own, with all others in grey behind it:
// so no two have to be told apart by their colours.

export interface Line {
  readonly xs: readonly number[];
  /** Null: nothing is drawn there. */
  readonly ys: readonly (number | null)[];
}

export interface Panel {
  readonly title: string;
  readonly line: Line;
  /** The lowest and the highest values around the line. */
  readonly band?: { readonly low: Line; readonly high: Line };
  readonly dots?: boolean;
}

export interface Axes {
  readonly x: string;
  readonly logX: boolean;
  /** In a caption of the whole figure. */
  readonly label: string;
}

const [WIDTH, HEIGHT] = [224, 150];
const INSET = { left: 40, right: 8, top: 22, bottom: 30 };

/** Panels with the same scales. Losses are drawn on the scale of their logarithms. */
export function panels(all: readonly Panel[], axes: Axes): string {
  const lines = all.flatMap(({ line, band }) => [line, ...(band ? [band.low, band.high] : [])]);
  const xs = extent(
    lines.flatMap((line) => line.xs),
    axes.logX,
  );
  const ys = extent(
    lines.flatMap(({ ys: values }) => values.filter(isPositive)),
    true,
  );
  const scale = {
    x: scaleOf(xs, axes.logX, INSET.left, WIDTH - INSET.right),
    y: scaleOf(ys, true, HEIGHT - INSET.bottom, INSET.top),
  };
  const others = all.map(({ line }) => `<path class="other" d="${pathOf(line, scale)}"/>`).join("");
  const drawn = all.map((panel) => {
    const title = `<text class="title" x="${INSET.left}" y="14">${escaped(panel.title)}</text>`;
    const marks = panel.dots ? dotsOf(panel.line, scale) : "";
    const curve = `<path class="line" d="${pathOf(panel.line, scale)}"/>`;
    const inner = `${grid(xs, ys, axes, scale)}${others}${panel.band ? bandOf(panel.band, scale) : ""}${curve}${marks}${title}`;
    return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(`${panel.title}: ${axes.label}`)}">${inner}</svg>`;
  });
  return `<div class="panels">${drawn.join("\n")}</div>`;
}

interface Row {
  readonly title: string;
  readonly values: readonly number[];
  readonly mean: number | null;
}

/** A row of dots for each optimizer, and its mean as a bar. */
export function strips(rows: readonly Row[], label: string): string {
  const [width, height, left, step] = [720, 40 + rows.length * 26, 170, 26];
  const range = extent(
    rows.flatMap(({ values }) => values),
    true,
  );
  const x = scaleOf(range, true, left, width - 20);
  const lines = rows.map(({ title, values, mean }, i) => {
    const y = 20 + i * step;
    const dots = values.map((value) => `<circle class="dot" cx="${x(value)}" cy="${y}" r="4"/>`).join("");
    const bar = mean === null ? "" : `<path class="mean" d="M${x(mean)} ${y - 9}V${y + 9}"/>`;
    const name = `<text class="name" x="${left - 14}" y="${y + 4}">${escaped(title)}</text>`;
    return `<path class="grid" d="M${left} ${y}H${width - 20}"/>${name}${dots}${bar}`;
  });
  const ticks = ticksOf(range, true).map((tick) => {
    const at = x(tick);
    return `<text class="tick" x="${at}" y="${height - 8}">${short(tick)}</text>`;
  });
  return `<svg class="strips" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">${lines.join("")}${ticks.join("")}</svg>`;
}

type Scale = (value: number) => number;
type Scales = { readonly x: Scale; readonly y: Scale };

function grid(xs: Range, ys: Range, { x, logX }: Axes, scale: Scales): string {
  const [right, bottom] = [WIDTH - INSET.right, HEIGHT - INSET.bottom];
  const rows = ticksOf(ys, true).map((tick) => {
    const y = scale.y(tick);
    return `<path class="grid" d="M${INSET.left} ${y}H${right}"/><text class="tick y" x="${INSET.left - 5}" y="${y + 3.5}">${short(tick)}</text>`;
  });
  const columns = ticksOf(xs, logX).map(
    (tick) => `<text class="tick" x="${scale.x(tick)}" y="${bottom + 13}">${short(tick)}</text>`,
  );
  const name = `<text class="tick" x="${(INSET.left + right) / 2}" y="${HEIGHT - 4}">${escaped(x)}</text>`;
  return rows.join("") + columns.join("") + name;
}

function pathOf({ xs, ys }: Line, { x, y }: Scales): string {
  let pen = "M";
  return xs
    .map((at, i) => {
      const value = ys[i];
      if (!isPositive(value)) return ((pen = "M"), "");
      const point = `${pen}${x(at)} ${y(value)}`;
      pen = "L";
      return point;
    })
    .join("");
}

function bandOf({ low, high }: NonNullable<Panel["band"]>, scale: Scales): string {
  const ends = low.ys.findIndex((value, i) => !isPositive(value) || !isPositive(high.ys[i]));
  const count = ends === -1 ? low.xs.length : ends;
  if (count < 2) return "";
  const cut = ({ xs, ys }: Line, reversed: boolean): Line => {
    const [a, b] = [xs.slice(0, count), ys.slice(0, count)];
    return reversed ? { xs: a.toReversed(), ys: b.toReversed() } : { xs: a, ys: b };
  };
  return `<path class="band" d="${pathOf(cut(low, false), scale)}${pathOf(cut(high, true), scale).replace("M", "L")}Z"/>`;
}

function dotsOf({ xs, ys }: Line, { x, y }: Scales): string {
  return xs
    .flatMap((at, i) => {
      const value = ys[i];
      return isPositive(value) ? [`<circle class="dot" cx="${x(at)}" cy="${y(value)}" r="2.5"/>`] : [];
    })
    .join("");
}

type Range = readonly [low: number, high: number];

function extent(values: readonly number[], logarithmic: boolean): Range {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (values.length === 0) return [1, 10];
  if (low < high) return [low, high];
  return logarithmic ? [low / 2, high * 2] : [low - 1, high + 1];
}

function scaleOf([low, high]: Range, logarithmic: boolean, from: number, to: number): Scale {
  const at = logarithmic ? Math.log : (value: number) => value;
  return (value) => Math.round(10 * (from + ((to - from) * (at(value) - at(low))) / (at(high) - at(low)))) / 10;
}

/** Some round numbers; on a logarithmic scale powers of ten and, if these are few, others too. */
function ticksOf([low, high]: Range, logarithmic: boolean): number[] {
  if (!logarithmic) {
    const rough = (high - low) / 4;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * ([1, 2, 5].find((factor) => factor * unit >= rough) ?? 10);
    const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
    return Array.from({ length: count }, (_, i) => (Math.ceil(low / step) + i) * step);
  }
  const powers = Array.from({ length: 40 }, (_, i) => 10 ** (i - 20));
  const within = (factors: readonly number[]) =>
    powers.flatMap((power) => factors.map((factor) => factor * power)).filter((tick) => tick >= low && tick <= high);
  const found =
    [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]].map(within).find(({ length }) => length >= 3) ?? [];
  const every = Math.ceil(found.length / 4);
  return found.filter((_, i) => i % every === 0);
}

const isPositive = (value: number | null): value is number => value !== null && value > 0;

function short(value: number): string {
  const rounded = Number(value.toPrecision(2));
  return rounded >= 1e4 || rounded < 1e-3 ? rounded.toExponential().replace("+", "") : String(rounded);
}

export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
