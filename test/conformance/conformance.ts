import { clip } from "./clip.ts";
import { goldenFiles, type GoldenCase } from "./golden.ts";
import { initialiser } from "./initialiser.ts";
import { layer } from "./layer.ts";
import { loss } from "./loss.ts";
import { optimizer, optimizerClosure } from "./optimizer.ts";
import { schedule } from "./schedule.ts";
import { trainingRun } from "./training-run.ts";
import { Unsupported, Verdict, type Failure } from "./verdict.ts";

/*
 * Runs golden cases (test/golden/README.md) through the engine's own kernels and registries, and
 * compares.
 */

const KINDS: Readonly<Record<string, (golden: never, verdict: Verdict) => void>> = {
  optimizer,
  "optimizer-closure": optimizerClosure,
  schedule,
  layer,
  loss,
  clip,
  initialiser,
  "training-run": trainingRun,
};

interface Tally {
  cases: number;
  passed: number;
  failed: number;
  unsupported: number;
}

export interface Conformance {
  readonly format: "conformance-1";
  readonly kinds: Readonly<Record<string, Tally>>;
  readonly failures: ({ readonly id: string; readonly kind: string } & Failure)[];
  /** `member`: what of the libraries the engine lacks. */
  readonly unsupported: { readonly id: string; readonly member: string }[];
}

/**
 * Every case of a directory and those below it.
 * @throws Error if there are none.
 */
export function conformance(directory: string): Conformance {
  const kinds = Object.fromEntries(
    Object.keys(KINDS).map((kind): [string, Tally] => [kind, { cases: 0, passed: 0, failed: 0, unsupported: 0 }]),
  );
  const result: Conformance = { format: "conformance-1", kinds, failures: [], unsupported: [] };
  const files = goldenFiles(directory);
  if (files.length === 0) throw new Error(`there are no golden cases in ${directory}`);
  for (const { kind, cases } of files) {
    if (!(kind in KINDS)) throw new Error(`there are no cases of kind "${kind}"`);
    for (const golden of cases) judge(golden, kind, result);
  }
  return result;
}

function judge(golden: GoldenCase, kind: string, result: Conformance): void {
  const { id } = golden;
  const tally = result.kinds[kind];
  const verdict = new Verdict();
  tally.cases++;
  try {
    KINDS[kind](golden as never, verdict);
  } catch (error) {
    if (error instanceof Unsupported) {
      tally.unsupported++;
      result.unsupported.push({ id, member: error.member });
      return;
    }
    verdict.failures.push({ what: String(error), error: null, tolerance: null });
  }
  tally[verdict.failures.length === 0 ? "passed" : "failed"]++;
  result.failures.push(...verdict.failures.map((failure) => ({ id, kind, ...failure })));
}
