import type { WriteStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { lossChart } from "../../src/cli/chart.ts";
import { watch } from "../../src/cli/watch.ts";
import type { Client } from "../../src/client/client.ts";
import type { Progress } from "../../src/spec/wire.ts";

const steps = Array.from({ length: 50 }, (_, i) => i + 1);
const series = {
  train_loss: { steps, values: steps.map((step) => (step === 7 ? null : 2 / step)) },
  valid_loss: { steps: [25, 50], values: [0.3, 0.2] },
};

/** A terminal that remembers what it shows: lines, of which the cursor may go back to earlier ones. */
class Terminal {
  readonly isTTY = true;
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
  write(text: string): void {
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

test("on a terminal the curves stand above the bar, and what was shown before is gone", async () => {
  const terminal = new Terminal(60);
  const client = {
    async *watch() {
      for (const step of [1, 20, 40]) yield progress(step, "running");
      yield progress(50, "succeeded");
    },
    getMetrics: async () => ({ job_id: "", series }),
    getJob: async () => ({ status: "succeeded" }),
  } as unknown as Client;
  expect(await watch(client, "job_x", terminal as unknown as WriteStream)).toEqual({ status: "succeeded" });
  const bars = terminal.shown.filter((line) => line.startsWith("step "));
  expect(bars).toEqual(["step 50/50 |████████| loss 0.0400  validation R² 0.5000  1,"]);
  expect(terminal.shown.filter((line) => line.includes("┤")).length).toBeGreaterThan(4);
  expect(terminal.shown.filter((line) => line.includes("train_loss"))).toHaveLength(1);
  for (const line of terminal.shown) expect(line.length).toBeLessThan(terminal.columns);
});

test("of many points a curve is drawn through means", () => {
  const many = Array.from({ length: 1000 }, (_, i) => i + 1);
  const noisy = { train_loss: { steps: many, values: many.map((step) => 1 + (step % 2)) } };
  const ticks = stripVTControlCharacters(lossChart({ job_id: "", series: noisy }, 80))
    .match(/[\d.]+(?=┤)/g)!
    .map(Number);
  for (const tick of ticks) expect(tick).toBeCloseTo(1.5, 1);
});

test("a curve needs two points", () => {
  expect(lossChart({ job_id: "", series: {} }, 80)).toBe("");
  expect(lossChart({ job_id: "", series: { train_loss: { steps: [1], values: [2] } } }, 80)).toBe("");
  expect(lossChart({ job_id: "", series: { train_loss: { steps: [1, 2], values: [2, null] } } }, 80)).toBe("");
  expect(lossChart({ job_id: "", series }, 80)).toContain("valid_loss");
});
