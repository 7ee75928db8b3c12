// The face of elementwise kernels for packs, from the signatures of the WebAssembly kernels.
//
// A pack has 16 numbers where a model has one (src/engine/kernels/pack.kernel.as.ts). A kernel in
// which no number depends on its neighbours does the work of all 16 models if it gets 16 times as
// many elements. So its form for packs is the kernel itself, with its addresses and its number of
// elements multiplied.
import type { Signature } from "./kernel-signatures.ts";

/** The parameter that counts elements, where it is not `n`. Null: the kernel is not elementwise. */
const ELEMENTS: Readonly<Record<string, string | null>> = {
  average: "count",
  copy: "count",
  scale: "count",
  clamp: "count",
  add: "count",
  subtract_from: "count",
  bce: "outputs",
  bce_with_logits: "outputs",
  gru_forward: null,
  gru_backward: null,
  lstm_forward: null,
  lstm_backward: null,
  rnn_forward: null,
  rnn_backward: null,
  gated_silu_forward: null,
  gated_silu_backward: null,
};

/** Elementwise kernels that are not translated into C. */
const OTHERS = new Set(["hardsigmoid_backward", "hardswish_backward", "huber", "smooth_l1", "ftrl"]);

/** `translated`: the names of the kernels that C gets by translation, which are all elementwise. */
export function packFace(signatures: readonly Signature[], translated: ReadonlySet<string>, header: string): string {
  const elementwise = signatures.filter(
    ({ name }) => (translated.has(name) || OTHERS.has(name)) && ELEMENTS[name] !== null && !name.startsWith("pack_"),
  );
  const functions = elementwise.map(({ name, parameters }) => {
    const count = ELEMENTS[name] ?? "n";
    if (!parameters.some((parameter) => parameter.name === count))
      throw new Error(`scripts/pack-face.ts: ${name} has no parameter ${count}`);
    const names = parameters.map((parameter) => parameter.name);
    const scaled = parameters.map((parameter) =>
      parameter.type === "usize" || parameter.name === count ? `16 * ${parameter.name}` : parameter.name,
    );
    return `    ${name}: (${names.join(", ")}) => $kernels.${name}(${scaled.join(", ")}),\n`;
  });
  return `// ${header}
import type { KernelExports } from "./exports.generated.ts";

type Name = ${elementwise.map(({ name }) => `\n  | "${name}"`).join("")};

/** Elementwise kernels on a pack. They take addresses and numbers of elements of one model. */
export function elementwisePack($kernels: KernelExports): Pick<KernelExports, Name> {
  return {
${functions.join("")}  };
}
`;
}
