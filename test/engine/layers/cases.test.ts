/** No layer is without numbers of PyTorch's. */
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { goldenCases } from "../../support/golden.ts";

const files = readdirSync("test/golden/layers").filter((name) => name.endsWith(".json"));
const known = new Set(
  files.flatMap((name) => goldenCases<{ layer: string }>(`layers/${name}`).map(({ layer }) => layer)),
);

/**
 * Of random numbers there are no cases, because the engine draws them in a way of its own. Internal
 * layers are tried as parts of others.
 */
const fixed = Object.values(layers).filter(({ random, internal }) => random === undefined && !internal);

it.each(fixed)("$type has cases", ({ source }) => {
  expect(known).toContain(source.replace("torch.nn.", ""));
});
