/** No layer is without numbers of PyTorch's. */
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { goldenCases } from "../../support/golden.ts";

const files = readdirSync("test/golden/layers").filter((name) => name.endsWith(".json"));
const layerNames = files.flatMap((name) => goldenCases<{ layer: string }>(`layers/${name}`).map(({ layer }) => layer));
const runs = goldenCases<{ model: { type: string }[] }>("training/training.json");
const known = new Set([...layerNames, ...runs.flatMap(({ model }) => model.map(({ type }) => type))].map(plain));

/** Names alike but for case and underscores. */
function plain(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

/**
 * Layers that no library has under this name; images.test.ts, steps.test.ts and columns.test.ts say
 * what they give.
 */
const OWN = new Set([
  "column_embedding",
  "mean",
  "select",
  "global_avg_pool2d",
  "global_max_pool2d",
  "permute",
  "reshape",
]);

/**
 * Of random numbers there are no cases, because the engine draws them in a way of its own. Internal
 * layers are tried as parts of others.
 */
const fixed = Object.values(layers).filter(({ type, internal }) => type !== "dropout" && !internal && !OWN.has(type));

it.each(fixed)("$type has cases", ({ type }) => {
  expect(known).toContain(plain(type));
});
