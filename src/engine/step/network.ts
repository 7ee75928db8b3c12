import type { Kernels } from "../kernels/kernels.ts";
import { layers } from "../layers/registry.generated.ts";
import { size } from "../member/shape.ts";
import type { ForwardPass, Layer, RowSet, ValuePlace } from "../layers/layer.ts";
import { addressOf, type PassPlan } from "../plan/buffers.ts";
import type { Plan, PlannedNode } from "../plan/model.ts";
import type { Barrier } from "./barrier.ts";
import { share } from "../plan/slices.ts";

/** What a network needs of a plan. */
export type NetworkPlan = Pick<
  Plan,
  "values" | "nodes" | "parameters" | "buffers" | "output" | "threads" | "scratchBytes"
> & { readonly addresses: Pick<Plan["addresses"], "activations" | "scratch"> };

/*
 * The model as one thread runs it: kernels bound to the plan's addresses. There is a
 * network to train and one to evaluate. They have the same nodes and parameters, and buffers of
 * their own.
 *
 * A thread takes its slab of samples through all nodes. Around a node that mixes samples the crew
 * meets: before it, because all samples must have come that far, and after its sums were taken.
 *
 * A node that leaves its statistics as they are works as in an evaluation, except that gradients go
 * through it.
 */
export class Network {
  /** The address of each value, the inputs of the data first: sample 0 of this thread's buffers. */
  readonly values: readonly number[];
  /** The addresses of the predictions and of their gradient, likewise. */
  readonly prediction: number;
  readonly predictionGradient: number;
  readonly #kernels: Kernels;
  readonly #plan: NetworkPlan;
  readonly #nodes: readonly BoundNode[];
  readonly #barrier: Barrier;
  readonly #thread: number;

  constructor(kernels: Kernels, plan: NetworkPlan, pass: PassPlan, barrier: Barrier, thread: number) {
    const at = (buffer: number) => addressOf(pass, plan.addresses.activations, thread, buffer);
    this.#kernels = kernels;
    this.#plan = plan;
    this.#barrier = barrier;
    this.#thread = thread;
    this.#nodes = plan.nodes.map((node, i) => bindNode(kernels, plan, pass, node, i, thread));
    this.values = pass.values.map(at);
    this.prediction = this.values[plan.output];
    this.predictionGradient = at(pass.gradients[plan.output]);
  }

  /**
   * Samples begin..end of the batch's `samples`, from the inputs to the predictions. A thread whose
   * slab is empty must call it too, to meet the others.
   */
  forward(begin: number, end: number, samples: number, pass: ForwardPass): void {
    for (const { layer, sums, isStill, trained, evaluated } of this.#nodes) {
      if (sums > 0 && pass.training && !isStill) {
        this.#barrier.meet();
        layer.mixForward!(...this.#shareOf(sums), samples);
        this.#barrier.meet();
      }
      if (begin === end) continue;
      layer.forward(pass.training ? trained : evaluated, begin, end, isStill ? { ...pass, training: false } : pass);
    }
  }

  /** From the gradient of the loss back to the first gradient that is needed. */
  backward(begin: number, end: number, samples: number, pass: ForwardPass): void {
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const { layer, sums, isStill, trained, learns, goesBack, added } = this.#nodes[i];
      if (sums > 0 && (learns || (goesBack && !isStill))) {
        this.#barrier.meet();
        layer.mixBackward!(trained, ...this.#shareOf(sums), samples);
        this.#barrier.meet();
      }
      if (!goesBack || begin === end) continue;
      layer.backward(trained, begin, end, isStill ? { ...pass, training: false } : pass);
      for (const { from, to, size: elements } of added)
        this.#kernels.add(to + begin * elements * 4, from + begin * elements * 4, (end - begin) * elements);
    }
  }

  /**
   * Rows begin..end of a parameter's gradient over the first `samples` samples. Tied layers add
   * theirs in the order of the plan. A gradient that is sparse is added to what is there, and its
   * rows to `rows`.
   */
  gradient(parameter: number, begin: number, end: number, samples: number, rows: RowSet | null = null): void {
    const { uses, length, shape } = this.#plan.parameters[parameter];
    if (rows !== null) {
      const [{ node, index }] = uses;
      this.#nodes[node].layer.sparseGradient!(index, begin, end, samples, rows);
      return;
    }
    for (const { node, index } of uses) this.#nodes[node].layer.gradient!(index, begin, end, samples);
    const row = length / shape[0];
    for (let i = 1; i < uses.length; i++) {
      const offset = begin * row * 4;
      this.#kernels.add(uses[0].gradient + offset, uses[i].gradient + offset, (end - begin) * row);
    }
  }

  #shareOf(sums: number): [number, number] {
    return share(sums, this.#thread, this.#plan.threads);
  }
}

/** A node with its layer bound to this thread's addresses. */
interface BoundNode {
  readonly layer: Layer;
  /** The sums of its mixing stages; 0 if it does not mix. */
  readonly sums: number;
  readonly isStill: boolean;
  /** The addresses of its parameters when it trains and when it is evaluated. */
  readonly trained: readonly number[];
  readonly evaluated: readonly number[];
  readonly learns: boolean;
  /** Whether a gradient of an input is wanted. */
  readonly goesBack: boolean;
  /** Gradients of inputs that are added to what other nodes wrote. */
  readonly added: readonly { readonly from: number; readonly to: number; readonly size: number }[];
}

function bindNode(
  kernels: Kernels,
  plan: NetworkPlan,
  pass: PassPlan,
  node: PlannedNode,
  number: number,
  thread: number,
): BoundNode {
  const { activations, scratch } = plan.addresses;
  const at = (buffer: number) => addressOf(pass, activations, thread, buffer);
  const contributions = pass.contributions[number];
  const place = (value: number, gradient: number): ValuePlace => {
    const { shape } = plan.values[value];
    return { address: at(pass.values[value]), gradient: at(gradient), shape, size: size(shape) };
  };
  const parameters = node.parameters.map((parameter) => plan.parameters[parameter]);
  const type = layers[node.member.type];
  const learns = parameters.some(({ group }) => group !== null);
  const layer = type.create(kernels, node.member, {
    inputs: node.inputs.map((value, position) => place(value, contributions[position].buffer)),
    output: place(node.output, pass.gradients[node.output]),
    saved: at(pass.saved[number]),
    mixed: node.mixed,
    shapes: parameters.map(({ shape }) => shape),
    gradients: parameters.map(
      ({ uses }, index) => uses.find((use) => use.node === number && use.index === index)!.gradient,
    ),
    buffers: node.buffers,
    stream: node.stream,
    scratch: scratch + thread * plan.scratchBytes,
  });
  return {
    layer,
    sums: node.shape.mixes?.sums ?? 0,
    isStill: node.isStill,
    trained: parameters.map(({ weight }) => weight),
    evaluated: parameters.map(({ evaluated }) => evaluated),
    learns,
    goesBack: contributions.some(({ buffer }) => buffer !== -1) || (learns && type.preparesGradient === true),
    added: contributions.flatMap(({ buffer, added }, position) => {
      const value = node.inputs[position];
      if (!added) return [];
      return [{ from: at(buffer), to: at(pass.gradients[value]), size: size(plan.values[value].shape) }];
    }),
  };
}
