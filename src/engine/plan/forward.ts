import { CONTROL_BYTES } from "../crew/control.ts";
import { MIN_SCRATCH_BYTES } from "../layers/layer.ts";
import { size, type Shape } from "../member/shape.ts";
import type { Member } from "../settings.ts";
import type { NetworkPlan } from "../step/network.ts";
import { passBytes, planPass, type PassPlan } from "./buffers.ts";
import { PlanError, type PlanFault } from "./faults.ts";
import { buildGraph, type Graph, type NamedValue } from "./graph.ts";
import { MAX_MEMORY_BYTES, MemoryMap, tooLarge } from "./memory.ts";
import { bufferBytes, placeNodes, type PlannedBuffer } from "./model.ts";
import type { PlannedParameter } from "./parameters.ts";
import { buffersOf, parametersOf, type ShapedParameter } from "./shapes.ts";

/*
 * The plan of a model that only predicts: its weights, its buffers, and what passes between its
 * layers, for one thread. There is no loss, no gradient and no optimizer. Samples go through the
 * network as in an evaluation.
 */

export interface ForwardInput {
  readonly model: { readonly layers: readonly Member[] };
  readonly inputs: readonly NamedValue[];
  /** The outputs (the last dimension) of the last layer, where the layer itself does not say. */
  readonly outputs: number;
}

export interface ForwardPlan extends NetworkPlan {
  readonly inputs: readonly NamedValue[];
  readonly pass: PassPlan;
  /** What the model gives for one sample. */
  readonly prediction: Shape;
  readonly control: number;
  readonly memoryBytes: number;
}

/** Rows that go through the network at once: enough for fast matrix products. */
const MOST_ROWS = 256;
/** Fewer rows where that many would take more memory than this, but at least one. */
const MOST_PASS_BYTES = 32 * 2 ** 20;

/** @throws PlanError with every fault */
export function planForward({ model, inputs, outputs }: ForwardInput): ForwardPlan {
  const faults: PlanFault[] = [];
  const graph = buildGraph(model.layers, inputs, outputs, faults);
  const shaped = graph && parametersOf(graph, [], faults);
  if (graph === null || shaped === null || faults.length > 0) throw new PlanError(faults);
  const map = new MemoryMap();
  const control = map.take("other", "control", CONTROL_BYTES);
  const wanted = graph.nodes.map(({ shape }) => shape.scratch ?? 0);
  const scratchBytes = wanted.reduce((most, bytes) => Math.max(most, bytes), MIN_SCRATCH_BYTES);
  const scratch = map.take("other", "scratch", scratchBytes);
  const parameters = shaped.map((parameter) => placed(parameter, map));
  const buffers = buffersOf(graph).map((buffer): PlannedBuffer => {
    return { ...buffer, address: map.take("weights", `buffer ${buffer.name}`, bufferBytes(buffer)), best: 0 };
  });
  const nodes = placeNodes(map, { graph, parameters: shaped, still: new Set() }, buffers);
  const pass = planRows(graph);
  const activations = map.take("activations", "activations", passBytes(pass, 1));
  if (map.end > MAX_MEMORY_BYTES) throw new PlanError([tooLarge(map.end)]);
  return {
    values: graph.values,
    nodes,
    parameters,
    buffers,
    output: graph.output,
    threads: 1,
    scratchBytes,
    addresses: { activations, scratch },
    inputs,
    pass,
    prediction: graph.values[graph.output].shape,
    control,
    memoryBytes: map.end,
  };
}

/** A parameter that does not learn: it has a weight, and nothing else. */
function placed(parameter: ShapedParameter, map: MemoryMap): PlannedParameter {
  const weight = map.take("weights", `weight ${parameter.name}`, size(parameter.shape) * 4);
  const uses = parameter.uses.map((use) => ({ ...use, gradient: 0 }));
  const nothing = { group: null, gradient: 0, state: [], best: 0, unitRows: 1, rows: null, firstBlock: 0 };
  return { ...parameter, ...nothing, uses, weight, evaluated: weight };
}

function planRows(graph: Graph): PassPlan {
  const plan = (rows: number) => planPass(graph, { rows, threads: 1, learning: null });
  const bytes = passBytes(plan(1), 1);
  return plan(Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_PASS_BYTES / bytes))));
}
