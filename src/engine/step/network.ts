import type { Kernels } from "../kernels/kernels.ts";
import { layers } from "../layers/registry.generated.ts";
import type { ForwardPass, Layer } from "../layers/layer.ts";
import { losses } from "../losses/registry.generated.ts";
import type { Loss } from "../losses/loss.ts";
import type { Plan, PlannedLayer } from "../plan/model.ts";
import { withDefaults } from "../member/options.ts";
import { size } from "../member/shape.ts";
import type { Member } from "../settings.ts";

/** The model and its loss as one thread runs them: kernels bound to the plan's addresses. */
export class Network {
  readonly loss: Loss;
  /**
   * The same loss without class weights and label smoothing. Null for targets that are values,
   * which have no such loss.
   */
  readonly logLoss: Loss | null;
  readonly #layers: readonly Layer[];
  readonly #backward: number;
  readonly #trained: readonly (readonly number[])[];
  readonly #evaluated: readonly (readonly number[])[];
  readonly #owner: readonly { layer: Layer; index: number }[];

  /** `classes`: the target's class names, for losses that name classes. */
  constructor(kernels: Kernels, plan: Plan, loss: Member, classes: readonly string[] | null, thread: number) {
    const scratch = plan.addresses.scratch + thread * plan.scratchBytes;
    this.#layers = plan.layers.map((layer, i) => createLayer(kernels, plan, layer, i, scratch));
    this.#trained = plan.layers.map((layer) => layer.parameters.map((p) => plan.parameters[p].weight));
    this.#evaluated = plan.layers.map((layer) => layer.parameters.map((p) => plan.parameters[p].evaluated));
    this.#owner = plan.parameters.map(({ layer, index }) => ({ layer: this.#layers[layer], index }));
    this.#backward = plan.layers.findIndex((layer) => layer.inputGradient !== 0);
    const last = plan.layers[plan.layers.length - 1];
    const type = losses[loss.type];
    const create = (options: Member, constants: number) =>
      type.create(kernels, options, {
        prediction: last.output,
        gradient: last.outputGradient,
        target: plan.addresses.targets,
        terms: plan.addresses.terms,
        outputs: plan.outputs,
        classes,
        constants,
      });
    this.loss = create(loss, plan.addresses.lossConstants);
    this.logLoss = type.targets === "value" ? null : create(withDefaults(type), plan.addresses.logLossConstants);
  }

  /** Samples begin..end, from the input buffer to the predictions. */
  forward(begin: number, end: number, pass: ForwardPass): void {
    const weights = pass.training ? this.#trained : this.#evaluated;
    for (let i = 0; i < this.#layers.length; i++) this.#layers[i].forward(weights[i], begin, end, pass);
  }

  /**
   * Samples begin..end, from the gradient of the loss back to the first gradient that is needed.
   */
  backward(begin: number, end: number, pass: ForwardPass): void {
    if (this.#backward === -1) return;
    for (let i = this.#layers.length - 1; i >= this.#backward; i--) {
      this.#layers[i].backward(this.#trained[i], begin, end, pass);
    }
  }

  /** Rows begin..end of a parameter's gradient over the first `samples` samples. */
  gradient(parameter: number, begin: number, end: number, samples: number): void {
    const { layer, index } = this.#owner[parameter];
    layer.gradient!(index, begin, end, samples);
  }
}

function createLayer(kernels: Kernels, plan: Plan, planned: PlannedLayer, index: number, scratch: number): Layer {
  const type = layers[planned.member.type];
  return type.create(kernels, planned.member, {
    input: planned.input,
    output: planned.output,
    inputGradient: planned.inputGradient,
    outputGradient: planned.outputGradient,
    inputSize: size(planned.inputShape),
    outputSize: size(planned.outputShape),
    inputShape: planned.inputShape,
    outputShape: planned.outputShape,
    gradients: planned.parameters.map((p) => plan.parameters[p].gradient),
    index,
    scratch,
  });
}
