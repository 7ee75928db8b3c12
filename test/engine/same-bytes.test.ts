import { Worker } from "node:worker_threads";
import { beforeAll, describe, expect, test } from "vitest";
import { returnThread } from "../../src/engine/crew/pool.ts";
import { coveringRows, pairsOf, type Row } from "../support/pairs.ts";
import { nativeSets, type KernelChoice } from "../../src/engine/kernels/native.ts";
import { train, type Trained } from "../support/training.ts";
import { excluded, factors, jobOf } from "./option-table.ts";

/** Everything that may be seen of a run after `step` steps. */
function seen({ outcome, state, logged, observed, findings, evaluations }: Evaluated, step = 0) {
  // A weight that is not finite may first be seen by a checkpoint (rewind.ts).
  if (outcome.type === "diverged") return outcome.type;
  const after = <T>(rows: readonly T[], stepOf: (row: T) => number) => rows.filter((row) => stepOf(row) > step);
  return {
    outcome,
    state: state?.sha256,
    logged: after(logged, (entry) => entry.step),
    observed: after(observed, ([at]) => at),
    findings: after(findings, (finding) => finding.step),
    evaluations: after(evaluations, (evaluation) => evaluation.step),
  };
}

interface Evaluated extends Trained {
  readonly evaluations: readonly { readonly step: number }[];
}

/** Where there are native kernels, the runs that are compared with the first one use them. */
const others: KernelChoice = nativeSets().length > 0 ? "native" : "wasm";

async function trained(
  row: Row,
  threads: number,
  everySteps: number | null,
  { kernels = others, state }: { kernels?: KernelChoice; state?: Uint8Array } = {},
): Promise<Evaluated> {
  const evaluations: { step: number }[] = [];
  const options = {
    threads,
    everySteps,
    state,
    kernels,
    evaluated: (each: { step: number }) => evaluations.push(each),
  };
  return { ...(await train(jobOf(row), options)), evaluations };
}

const positions: Readonly<Record<string, (steps: number[]) => number>> = {
  first: () => 0,
  middle: (steps) => Math.floor((steps.length - 1) / 2),
  last: (steps) => steps.length - 1,
};

const SEED = 8;
let diverged = 0;
const rows = coveringRows(factors, excluded, SEED);

describe("the same bytes from any number of threads, from either kernels, and from a checkpoint,", () => {
  beforeAll(() => {
    for (let i = 0; i < 5; i++) returnThread(new Worker(new URL("../support/delayed-thread.ts", import.meta.url)), 0);
  });

  test("are tried with every pair of options", () => {
    const untried = pairsOf(factors, excluded).filter(
      ([a, b]) => !rows.some((row) => row[a.factor] === a.level && row[b.factor] === b.level),
    );
    expect(untried).toEqual([]);
  });

  test.each(rows.map((row) => [Object.values(row).join(" "), row] as const))("%s", async (_name, row) => {
    const whole = await trained(row, 1, Number(row.checkpoints), { kernels: "wasm" });
    diverged += Number(whole.outcome.type === "diverged");
    expect(seen(await trained(row, Number(row.threads), null))).toEqual(seen(whole));
    const steps = [...whole.checkpoints.keys()];
    if (steps.length === 0) return;
    const step = steps[positions[row.resumedAt](steps)];
    const resumed = await trained(row, Number(row.resumedBy), null, { state: whole.checkpoints.get(step) });
    expect(seen(resumed, step)).toEqual(seen(whole, step));
  });

  test("and hardly any of these jobs diverges, because that would hide differences", () => {
    expect(diverged).toBeLessThan(rows.length / 20);
  });
});
