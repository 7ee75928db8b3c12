import { compileKernels, createMemory, instantiateKernels, type Kernels } from "../../src/engine/kernels/kernels.ts";
import type { Member } from "../../src/engine/settings.ts";
import { size } from "../../src/engine/member/shape.ts";
import { addressOf, passBytes, planPass, type PassPlan } from "../../src/engine/plan/buffers.ts";
import { PlanError, type PlanFault } from "../../src/engine/plan/faults.ts";
import { buildGraph, type Graph, type NamedValue } from "../../src/engine/plan/graph.ts";
import { MemoryMap } from "../../src/engine/plan/memory.ts";
import { bufferBytes, placeNodes, type PlannedBuffer } from "../../src/engine/plan/model.ts";
import type { PlannedParameter } from "../../src/engine/plan/parameters.ts";
import { buffersOf, parametersOf } from "../../src/engine/plan/shapes.ts";
import { Barrier } from "../../src/engine/step/barrier.ts";
import { Network } from "../../src/engine/step/network.ts";

const module = compileKernels();

/** Bytes of the words of the barrier. */
const CONTROL_BYTES = 512;

/**
 * Layers of a spec as a job's network runs them, by one thread and without a loss: forward,
 * backward as far as the inputs (or only as far as a job goes, without `derivesInputs`), and the
 * gradients of all parameters. Numbers are looked up by the names of parameters and buffers, as
 * `<layer>.<name>`.
 */
export class LayerRun {
  readonly graph: Graph;
  readonly parameters: readonly PlannedParameter[];
  readonly buffers: readonly PlannedBuffer[];
  readonly kernels: Kernels;
  readonly #samples: number;
  readonly #pass: PassPlan;
  readonly #activations: number;
  readonly #network: Network;

  /** @throws PlanError where a layer does not fit */
  constructor(layers: readonly Member[], inputs: readonly NamedValue[], samples: number, derivesInputs = true) {
    const faults: PlanFault[] = [];
    const graph = buildGraph(layers, inputs, 1, faults);
    if (graph === null) throw new PlanError(faults);
    const map = new MemoryMap();
    const control = map.take("other", "control", CONTROL_BYTES);
    const shaped = parametersOf(graph, [], faults);
    if (faults.length > 0) throw new PlanError(faults);
    this.parameters = shaped.map((parameter) => {
      const take = (what: string) => map.take("weights", what, parameter.length * 4);
      const weight = take("weight");
      const uses = parameter.uses.map((use) => ({ ...use, gradient: take("gradient") }));
      const { gradient } = uses[0];
      return {
        ...parameter,
        weight,
        evaluated: weight,
        best: 0,
        state: [],
        unitRows: 1,
        rows: null,
        firstBlock: 0,
        gradient,
        uses,
      };
    });
    this.buffers = buffersOf(graph).map((buffer) => {
      return { ...buffer, address: map.take("weights", "buffer", bufferBytes(buffer)), best: 0 };
    });
    const nodes = placeNodes(map, { graph, parameters: shaped, still: new Set() }, this.buffers);
    const learning = new Set(shaped.flatMap(({ uses }) => uses.map(({ node }) => node)));
    const scratchBytes = nodes.reduce((most, { shape }) => Math.max(most, shape.scratch ?? 0), 1 << 16);
    const scratch = map.take("other", "scratch", scratchBytes);
    this.graph = graph;
    this.#samples = samples;
    this.#pass = planPass(graph, { rows: samples, threads: 1, learning, derivesInputs });
    this.#activations = map.take("activations", "activations", passBytes(this.#pass, 1));
    this.kernels = instantiateKernels(module, createMemory(map.end));
    const words = new Int32Array(this.kernels.memory.buffer, control);
    const { parameters, buffers } = this;
    const addresses = { activations: this.#activations, scratch };
    const { values, output } = graph;
    const plan = { values, nodes, parameters, buffers, output, threads: 1, scratchBytes, addresses };
    this.#network = new Network(this.kernels, plan, this.#pass, new Barrier(this.kernels, words, control, 1), 0);
    for (const { address, type, shape, initial } of this.buffers)
      if (type === "float32") this.kernels.f32.fill(initial, address / 4, address / 4 + size(shape));
  }

  setParameter(name: string, values: ArrayLike<number>): void {
    this.kernels.f32.set(values, this.#parameter(name).weight / 4);
  }

  setBuffer(name: string, values: ArrayLike<number>): void {
    const { address, type } = this.#buffer(name);
    if (type === "float32") this.kernels.f32.set(values, address / 4);
    else new BigInt64Array(this.kernels.memory.buffer, address).set(Array.from(values, BigInt));
  }

  /** The inputs of all samples, one array for each input. */
  setInputs(inputs: readonly ArrayLike<number>[]): void {
    inputs.forEach((values, i) => {
      const numbers = this.graph.values[i].type === "int32" ? this.kernels.i32 : this.kernels.f32;
      numbers.set(values, this.#network.values[i] / 4);
    });
  }

  setUpstream(gradient: ArrayLike<number>): void {
    this.kernels.f32.set(gradient, this.#network.predictionGradient / 4);
  }

  /** From these inputs, or with none from what `setInputs` wrote. */
  forward(
    inputs: readonly ArrayLike<number>[],
    training: boolean,
    slabs: readonly number[] = [0, this.#samples],
  ): void {
    this.setInputs(inputs);
    const pass = { training, batch: 0, seedLow: 1, seedHigh: 0 };
    for (let i = 1; i < slabs.length; i++) this.#network.forward(slabs[i - 1], slabs[i], this.#samples, pass);
  }

  output(): Float32Array {
    return this.#read(this.#network.prediction, this.graph.values[this.graph.output].shape);
  }

  /** From this gradient of the output, or with none from what `setUpstream` wrote. */
  backward(upstream: ArrayLike<number>, training: boolean, slabs: readonly number[] = [0, this.#samples]): void {
    this.setUpstream(upstream);
    const pass = { training, batch: 0, seedLow: 1, seedHigh: 0 };
    for (let i = 1; i < slabs.length; i++) this.#network.backward(slabs[i - 1], slabs[i], this.#samples, pass);
  }

  /** Computes the gradients of all parameters, `rows` rows at a time. */
  gradients(rows = Infinity): void {
    this.parameters.forEach(({ shape }, parameter) => {
      for (let begin = 0; begin < shape[0]; begin += rows)
        this.#network.gradient(parameter, begin, Math.min(shape[0], begin + rows), this.#samples);
    });
  }

  parameterGradient(name: string): Float32Array {
    const { gradient, length } = this.#parameter(name);
    return this.kernels.f32.slice(gradient / 4, gradient / 4 + length);
  }

  inputGradient(input: number): Float32Array {
    const address = addressOf(this.#pass, this.#activations, 0, this.#pass.gradients[input]);
    return this.#read(address, this.graph.values[input].shape);
  }

  buffer(name: string): number[] {
    const { address, type, shape } = this.#buffer(name);
    if (type === "float32") return Array.from(this.kernels.f32.subarray(address / 4, address / 4 + size(shape)));
    return Array.from(new BigInt64Array(this.kernels.memory.buffer, address, size(shape)), Number);
  }

  #read(address: number, shape: readonly number[]): Float32Array {
    return this.kernels.f32.slice(address / 4, address / 4 + this.#samples * size(shape));
  }

  #parameter(name: string): PlannedParameter {
    return this.parameters.find((parameter) => parameter.name === name)!;
  }

  #buffer(name: string): PlannedBuffer {
    return this.buffers.find((buffer) => buffer.name === name)!;
  }
}
