// npm run bench -- compare --python PATH: training steps beside PyTorch's, for those who have it.
// Each round measures PyTorch with its default and its fused Adam, and Rappel with each set of
// kernels, one after the other, on two threads. A ratio says how many times as fast as PyTorch's
// better one Rappel is, by the medians. BENCH_WORKLOADS chooses workloads, as for `models`.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { kernelSets } from "./kernel-sets.ts";
import { modelTimer } from "./models.ts";
import { adamMs, SIZES } from "./optimizers.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

const ROUNDS = 3;
const THREADS = 2;
const MODELS = "abcdef";

interface Case {
  readonly name: string;
  /** What PyTorch is asked. */
  readonly asked: { readonly workload: string; readonly parameters?: number };
  readonly ours: (kernels: "wasm" | "native") => Promise<number>;
}

/** A process of PyTorch, which answers one question after the other. */
class Torch implements Disposable {
  readonly #child;
  readonly #answers: AsyncIterator<string>;

  constructor(python: string) {
    const program = fileURLToPath(new URL("torch_steps.py", import.meta.url));
    this.#child = spawn(python, [program], { stdio: ["pipe", "pipe", "inherit"] });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async answer<T>(): Promise<T> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("The process of PyTorch ended: does this Python have the package torch?");
    return JSON.parse(value) as T;
  }

  async ms(question: Case["asked"], fused: boolean): Promise<number> {
    this.#child.stdin.write(`${JSON.stringify({ ...question, fused, threads: THREADS })}\n`);
    return (await this.answer<{ ms: number }>()).ms;
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

function cases(): Case[] {
  const letters = (process.env.BENCH_WORKLOADS ?? MODELS).split("");
  const models = letters.map((letter): Case => {
    const { name, measure } = modelTimer(letter);
    return { name: `${letter}. ${name}`, asked: { workload: letter }, ours: (kernels) => measure(THREADS, kernels) };
  });
  if (process.env.BENCH_WORKLOADS !== undefined) return models;
  const adam = SIZES.map((parameters): Case => {
    const asked = { workload: "adam", parameters };
    return { name: `Adam alone, n = ${parameters}`, asked, ours: (kernels) => adamMs(parameters, THREADS, kernels) };
  });
  return [...models, ...adam];
}

async function compare({ name, asked, ours }: Case, torch: Torch): Promise<object> {
  const sides: Record<string, () => Promise<number>> = {
    torch: () => torch.ms(asked, false),
    torch_fused: () => torch.ms(asked, true),
  };
  for (const kernels of kernelSets()) sides[kernels] = () => ours(kernels);
  const times: Record<string, number[]> = {};
  for (let round = 0; round < ROUNDS; round++)
    for (const [side, measure] of Object.entries(sides)) (times[side] ??= []).push(await measure());
  const ms = Object.fromEntries(Object.entries(times).map(([side, all]) => [side, median(all)]));
  const best = Math.min(ms.torch, ms.torch_fused);
  const ratios = kernelSets().map((kernels) => [`ratio_${kernels}`, Number((best / ms[kernels]).toFixed(2))]);
  const rounded = Object.entries(ms).map(([side, value]) => [`${side}_ms`, Number(value.toPrecision(4))]);
  return { workload: name, ...Object.fromEntries(rounded), ...Object.fromEntries(ratios) };
}

/** @throws Error if the Python has no PyTorch */
export async function benchCompare(python: string | undefined): Promise<void> {
  if (python === undefined) throw new Error("compare wants --python PATH: a Python that has PyTorch");
  using torch = new Torch(python);
  const { torch: version } = await torch.answer<{ torch: string }>();
  console.log(`PyTorch ${version}, ${THREADS} threads, medians of ${ROUNDS} interleaved rounds`);
  const rows: object[] = [];
  for (const each of cases()) {
    const row = await compare(each, torch);
    console.log(JSON.stringify(row));
    rows.push(row);
  }
  finish("compare", rows);
}
