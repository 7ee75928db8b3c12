import { describe, expect, it } from "vitest";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { configure } from "../../../src/engine/optimizers/configure.ts";
import { expectClose, goldenCases } from "../../support/golden.ts";
import { referenceOf, referenceTensor } from "../../support/references.ts";
import { gradientOf, type OptimizerCase } from "../../conformance/optimizer.ts";
import { translate } from "../../conformance/names.ts";

/*
 * The references of all optimizers, against the numbers of the libraries.
 */

const all = Object.entries(optimizers);
/** L-BFGS has tests of its own (lbfgs.test.ts). */
const types = all.filter(([, type]) => !type.fullBatch);

describe("references", () => {
  const golden = ["torch", "optax", "keras"].flatMap((library) =>
    goldenCases<OptimizerCase>(`optimizers/${library}.json`),
  );
  const compared = new Set(
    golden.map(({ library, optimizer, options }) => translate(optimizers, library, optimizer, options).type),
  );
  /** No numbers of optax's were recorded for these. Only references from the papers hold them. */
  const unrecorded = ["ademamix", "prodigy"];
  it.each(types)("%s has cases, in one dialect or another", (_key, { type }) => {
    expect(compared.has(type)).toBe(!unrecorded.includes(type));
  });

  /** What keeps a case of a library from agreeing with double arithmetic to the last digits. */
  const limits: Readonly<Record<string, number>> = {
    // optax computes its warm-up factor in float32 also in the double-precision run.
    "optax.schedule_free_adamw": 1e-7,
  };

  it.each(golden.map((golden): [string, OptimizerCase] => [golden.id, golden]))(
    "agree with the library in double: %s",
    (_id, { library, optimizer, options, params, steps, lr_per_step: rates, expected }) => {
      const member = translate(optimizers, library, optimizer, options);
      const reference = referenceOf(member);
      const numbersOf = expected.float64_ns_exact ?? expected.float64;
      const limit = limits[`${library}.${optimizer}`] ?? 1e-11;
      for (const parameter of params) {
        const { name, shape, initial } = parameter;
        const tensor = referenceTensor(member, { shape, values: initial.data });
        const { checkpoints, values, eval_values: others } = numbersOf[name];
        for (let t = 1; t <= steps; t++) {
          tensor.gradient.set(gradientOf(parameter, t));
          reference([tensor], t, rates?.[t - 1] ?? configure(member).rate);
          const at = checkpoints.indexOf(t);
          if (at === -1) continue;
          const row = ({ data }: typeof values) => data.slice(at * initial.data.length, (at + 1) * initial.data.length);
          expectClose(tensor.weight, row(values), limit, `${name} after step ${t}`);
          if (others) expectClose(tensor.evaluated, row(others), limit, `${name}, to evaluate`);
        }
      }
    },
  );
});
