import type { WriteStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import { expect, test, vi } from "vitest";
import { chart, lossChart } from "../../src/cli/chart.ts";
import { watch } from "../../src/cli/watch.ts";
import type { Client } from "../../src/client/client.ts";
import type { Progress } from "../../src/contract/wire/job.ts";

const steps = Array.from({ length: 50 }, (_, i) => i + 1);
const series = {
  train_loss: { steps, values: steps.map((step) => (step === 7 ? null : 2 / step)) },
  valid_loss: { steps: [25, 50], values: [0.3, 0.2] },
};

/**
 * A terminal that remembers what it shows: lines, of which the cursor may go back to earlier ones.
 */
class Terminal {
  isTTY = true;
  written = "";
  readonly columns: number;
  #lines: string[] = [""];
  constructor(columns: number) {
    this.columns = columns;
  }
  moveCursor(_x: number, y: number): void {
    this.#lines.length += y;
  }
  clearScreenDown(): void {
    this.#lines[this.#lines.length - 1] = "";
  }
  hasColors(): boolean {
    return false;
  }
  write(text: string): void {
    this.written += text;
    const [first, ...rest] = stripVTControlCharacters(text).split("\n");
    this.#lines[this.#lines.length - 1] += first;
    this.#lines.push(...rest);
  }
  get shown(): string[] {
    return this.#lines;
  }
}

function progress(step: number, status: Progress["status"]): Progress {
  const shown: Partial<Progress> = {
    status,
    step,
    total_steps: 50,
    progress: step / 50,
    train_loss: 2 / step,
    metrics: { valid_r2: 0.5 },
    samples_per_second: 1234.5,
    eta_seconds: 3.2,
  };
  return shown as Progress;
}

const plain = { columns: 80, colored: false };
const client = {
  async *watch() {
    for (const step of [1, 20, 40]) yield progress(step, "running");
    yield progress(50, "succeeded");
  },
  getMetrics: async () => ({ job_id: "", series }),
  getJob: async () => ({ status: "succeeded" }),
} as unknown as Client;

test("on a terminal the curves are above the bar, and the earlier picture is erased", async () => {
  const terminal = new Terminal(60);
  expect(await watch(client, "job_x", terminal as unknown as WriteStream)).toEqual({ status: "succeeded" });
  const bars = terminal.shown.filter((line) => line.startsWith("step "));
  expect(bars).toEqual(["step 50/50 |████████| loss 0.0400  validation R² 0.5000  1,"]);
  expect(terminal.shown.filter((line) => line.includes("┤")).length).toBeGreaterThan(4);
  expect(terminal.shown.filter((line) => line.includes("train_loss"))).toHaveLength(1);
  for (const line of terminal.shown) expect(line.length).toBeLessThan(terminal.columns);
});

test("a terminal that cannot go back gets lines, and one without colours none", async () => {
  const terminal = new Terminal(60);
  await watch(client, "job_x", terminal as unknown as WriteStream);
  expect(stripVTControlCharacters(terminal.written)).toBe(terminal.written);
  const dumb = new Terminal(60);
  vi.stubEnv("TERM", "dumb");
  await watch(client, "job_x", dumb as unknown as WriteStream);
  vi.unstubAllEnvs();
  // It is over before the next line is due, except that the last is always written.
  expect(dumb.written).toMatch(/^step 1\/50 .*\nstep 50\/50 .* succeeded\n$/);
});

test.each([
  [
    { step: 2, metrics: { valid_accuracy: 0.5 } },
    `step 2/50 |█${"░".repeat(23)}| loss 1.0000  validation accuracy 0.5000  1,235 samples/s  ETA 4 s`,
  ],
  [
    { step: 24, metrics: { valid_r2: null, valid_accuracy: 0.5 }, samples_per_second: null },
    `step 24/50 |${"█".repeat(12)}${"░".repeat(12)}| loss 0.0833  validation R² –  ETA 4 s`,
  ],
  [
    { step: 0, status: "queued", train_loss: null, metrics: {}, samples_per_second: null, eta_seconds: null },
    `step 0/50 |${"░".repeat(24)}| loss –  validation accuracy –  queued`,
  ],
] as [Partial<Progress> & { step: number }, string][])(
  "where nothing can be redrawn a line says it all: %j",
  async (changes, line) => {
    const one = {
      async *watch() {
        yield { ...progress(changes.step, "running"), ...changes };
      },
      getJob: async () => ({}),
    };
    const dumb = new Terminal(60);
    await watch(one as unknown as Client, "job_x", Object.assign(dumb, { isTTY: false }) as unknown as WriteStream);
    expect(dumb.written).toBe(`${line}\n`);
  },
);

test("a chart is as wide as the terminal, and its labels show the values", () => {
  const long = {
    steps: Array.from({ length: 40 }, (_, i) => 1000 + 12_345 * i),
    values: Array.from({ length: 40 }, (_, i) => 0.35 + 0.0001 / (i + 1)),
  };
  for (const columns of [40, 80, 200]) {
    const lines = chart({ long }, { columns, colored: false }).split("\n");
    const widest = Math.max(...lines.map(({ length }) => length));
    expect([columns, widest <= columns, widest > columns - 5]).toEqual([columns, true, true]);
    const labels = lines.flatMap((line) => /^ *([\d.]+)┤/.exec(line)?.[1] ?? []);
    expect(labels.map(Number)).toEqual(
      [0.3501, 0.350076, 0.350051, 0.350027, 0.350003].map((v) => expect.closeTo(v, 5)),
    );
    expect(new Set(labels).size).toBe(5);
  }
  const [axis] = chart({ long }, { columns: 200, colored: false }).match(/\d+( +\d+){4}/)!;
  expect(axis.split(/ +/).map(Number)).toEqual([1000, 121_364, 241_728, 362_091, 482_455]);
});

test("many curves can be distinguished, with and without colours", () => {
  const flat = (value: number) => ({ steps: [1, 2, 3], values: [value, value, value] });
  const named = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`curve${i}`, flat(i)]));
  for (const colored of [true, false]) {
    const drawn = stripVTControlCharacters(chart(named, { columns: 100, colored }));
    const legend = [...drawn.matchAll(/█ (\w) {2}(curve\d+)/g)].map(([, mark, name]) => [mark, name]);
    expect(legend).toEqual(Object.keys(named).map((name, i) => ["abcdefghijkl"[i], name]));
    for (const [mark] of legend.slice(0, 1)) expect(drawn).toMatch(new RegExp(`┤${mark} .* ${mark} .* ${mark}`));
  }
  const two = { train_loss: flat(1), valid_loss: flat(2) };
  expect(chart(two, { columns: 100, colored: true })).toContain("\u001b[");
  expect(chart(two, { columns: 100, colored: false })).not.toContain("\u001b");
});

test("a curve of many points is drawn through means", () => {
  const many = Array.from({ length: 1000 }, (_, i) => i + 1);
  const noisy = { train_loss: { steps: many, values: many.map((step) => 1 + (step % 2)) } };
  const drawn = stripVTControlCharacters(lossChart(noisy, { columns: 80, colored: true }));
  for (const tick of drawn.match(/[\d.]+(?=┤)/g)!) expect(Number(tick)).toBeCloseTo(1.5, 1);
  // A mean stands at the last of its 17 steps.
  expect(drawn).toMatch(/^ *17 +263 +509 +754 +1000 *$/m);
});

test("the labels of a chart have three digits, or fewer if that is exact", () => {
  const curve = { steps: [1, 2, 3, 4, 5], values: [1, 1.25, 1.5, 1.75, 2] };
  const drawn = lossChart({ train_loss: curve }, plain);
  expect(drawn.match(/[\d.]+(?=┤)/g)).toEqual(["2", "1.75", "1.5", "1.25", "1"]);
});

test("a curve needs two points", () => {
  expect(lossChart({}, plain)).toBe("");
  expect(lossChart({ train_loss: { steps: [1], values: [2] } }, plain)).toBe("");
  expect(lossChart({ train_loss: { steps: [1, 2], values: [2, null] } }, plain)).toBe("");
  expect(lossChart(series, plain)).toContain("valid_loss");
});
