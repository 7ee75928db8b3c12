import { layers } from "../layers/registry.generated.ts";
import { losses } from "../losses/registry.generated.ts";
import type { OutputKind } from "../member/shape.ts";
import type { Member } from "../settings.ts";
import type { Node } from "./graph.ts";

/*
 * Whether the model gives what the loss takes: scores, probabilities, or logarithms of these. A
 * model of the wrong kind trains without a fault, to numbers that mean nothing. It may be meant, so
 * this is a note and no fault.
 */

/** The codes of notes, and what they mean. */
export const outputCodes = {
  unsuited_outputs: "the loss takes the outputs for something else than what the last layers give",
} as const;

export interface OutputNote {
  readonly pointer: string;
  readonly code: keyof typeof outputCodes;
  readonly message: string;
}

const WORDS = { scores: "scores", probabilities: "probabilities", log_probabilities: "log-probabilities" } as const;

interface Outputs {
  readonly nodes: readonly Pick<Node, "pointer" | "member" | "inputs" | "output" | "shape">[];
  readonly output: number;
}

export function outputNotes(model: Outputs, loss: Member): OutputNote[] {
  const { wants } = losses[loss.type];
  const last = lastKind(model);
  if (wants === undefined || last === null || last.gives === wants) return [];
  const [given, wanted] = [WORDS[last.gives], WORDS[wants]];
  const code = "unsuited_outputs";
  if (wants !== "scores") {
    const message = `takes ${wanted}, but the model gives ${given}: end it with ${layersFor(wants)}`;
    return [{ pointer: "/loss", code, message }];
  }
  // The softmax of log-probabilities gives the same probabilities again.
  if (last.gives === "log_probabilities") return [];
  const message = `gives ${given}, but ${loss.type} takes ${wanted} and makes probabilities of them itself: leave the layer out`;
  return [{ pointer: last.pointer, code, message }];
}

/** What the outputs are, from the last layer that decides it; null where several values meet. */
function lastKind({ nodes, output }: Outputs): { pointer: string; gives: OutputKind } | null {
  const makers = new Map(nodes.map((node) => [node.output, node]));
  for (let node = makers.get(output); node?.inputs.length === 1; node = makers.get(node.inputs[0])) {
    const { gives } = layers[node.member.type];
    const { pointer, shape } = node;
    if (gives !== undefined) return { pointer, gives };
    if (shape.parameters.length > 0) return { pointer, gives: "scores" };
  }
  return null;
}

function layersFor(kind: OutputKind): string {
  const types = Object.values(layers).filter(({ gives }) => gives === kind);
  return types.map(({ type }) => type).join(" or ");
}
