import type { Description, Options } from "../member/options.ts";
import { checkInputSize } from "./input-size.ts";
import { defineComposite, LayerFault, type Expansion, type LayerType, type Part, type Value } from "./layer.ts";

/*
 * What `rnn`, `lstm` and `gru` are made of: a pass over time (recurrent.ts) for each layer and
 * direction, the joined states of both directions, dropout between the layers, and at the end what
 * `output` asks for.
 */

const OUTPUTS = ["last", "all", "last_state"] as const;
const OUTPUT =
  "What comes out. last: the states of the last layer at the last time. all: its states at all times. last_state: h_n, the states with which each layer and direction ended, one behind the other.";

const options = {
  input_size: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "Features at a time; inferred, and checked if it is given.",
  },
  hidden_size: { kind: "integer", min: 1, max: 1_000_000, doc: "Units of each layer and direction." },
  num_layers: {
    kind: "integer",
    default: 1,
    min: 1,
    max: 100,
    doc: "Layers on top of each other. Each reads all states of the one below.",
  },
  bias: { kind: "boolean", default: true, doc: "Whether to add learned biases." },
  dropout: {
    kind: "number",
    default: 0,
    min: 0,
    max: 1,
    doc: "Probability of zeroing a state between two layers while training.",
  },
  bidirectional: {
    kind: "boolean",
    default: false,
    doc: "Whether each layer also goes from the last time to the first. The states of that direction stand behind those of the other. At the last time it has read one step only: take last_state, or all.",
  },
} as const satisfies Options;

const output = {
  output: { kind: "choice", choices: OUTPUTS, default: "last", doc: OUTPUT },
} as const satisfies Options;

const outputOrCells = {
  output: {
    ...output.output,
    choices: [...OUTPUTS, "last_cell"],
    doc: `${OUTPUT} last_cell: c_n, the cells likewise.`,
  },
} as const satisfies Options;

/** Options of every kind with their values; `nonlinearity` is the plain net's. */
interface StackOptions {
  readonly input_size: number | null;
  readonly hidden_size: number;
  readonly num_layers: number;
  readonly bias: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  readonly output: "last" | "all" | "last_state" | "last_cell";
  readonly nonlinearity?: string;
}

interface Stack extends Omit<Description, "options">, Pick<LayerType, "example"> {
  /** The type of its passes. */
  readonly pass: string;
  /** Whether it has cells beside the states. */
  readonly cells: boolean;
  /** Options of its own. */
  readonly options: Options;
}

export function defineRecurrent({ pass, cells, options: own, ...description }: Stack): LayerType {
  return defineComposite({
    ...description,
    options: { ...options, ...own, ...(cells ? outputOrCells : output) },
    mostInputs: 3,
    expand(given, inputs) {
      const stack = given as unknown as StackOptions;
      checkSequence(stack, inputs[0]);
      checkStates(stack, cells, inputs.slice(1));
      return new StackBuilder(pass, stack, inputs).build();
    },
  });
}

/** Builds the list of parts. Its methods add some, and return the label of the last. */
class StackBuilder {
  readonly #pass: string;
  readonly #options: StackOptions;
  readonly #inputs: readonly Value[];
  readonly #parts: Part[] = [];

  constructor(pass: string, options: StackOptions, inputs: readonly Value[]) {
    this.#pass = pass;
    this.#options = options;
    this.#inputs = inputs;
  }

  build(): Expansion {
    const { num_layers: layers, bidirectional, dropout, hidden_size: hidden, output } = this.#options;
    const directions = bidirectional ? [false, true] : [false];
    const [time, features] = this.#inputs[0].shape;
    const ends: string[] = [];
    let below = "input0";
    for (let layer = 0; layer < layers; layer++) {
      const passes = directions.map((reverse) => this.#addPass(below, layer, reverse));
      if (this.#wantsEnds) ends.push(...passes.map((pass, i) => this.#slice(pass, 0, directions[i] ? 0 : time - 1)));
      if (this.#wantsEnds && layer === layers - 1) break;
      const states = this.#cells ? passes.map((pass) => this.#slice(pass, 1, 0, hidden)) : passes;
      below = this.#join(states, 1);
      if (dropout > 0 && layer < layers - 1)
        below = this.#add({ type: "dropout", name: `dropout_l${layer}`, inputs: [below], p: dropout });
    }
    if (output === "last") this.#slice(below, 0, time - 1);
    if (output === "last_state") this.#join(ends, 0);
    if (output === "last_cell")
      this.#join(
        ends.map((end) => this.#slice(end, 0, hidden, 2 * hidden)),
        0,
      );
    return { layers: this.#parts, inferred: { input_size: features } };
  }

  get #cells(): boolean {
    return this.#options.output === "last_cell";
  }

  get #wantsEnds(): boolean {
    return this.#options.output === "last_state" || this.#cells;
  }

  #addPass(below: string, layer: number, reverse: boolean): string {
    const { hidden_size, bias, bidirectional, nonlinearity = "tanh" } = this.#options;
    const number = bidirectional ? 2 * layer + Number(reverse) : layer;
    const states = this.#inputs
      .slice(1)
      .map(({ shape }, i) => (shape.length === 1 ? `input${i + 1}` : this.#slice(`input${i + 1}`, 0, number)));
    const options = { hidden_size, layer, reverse, bias, cells: this.#cells, nonlinearity };
    return this.#add({ type: this.#pass, name: null, inputs: [below, ...states], ...options });
  }

  #slice(from: string, dim: number, begin: number, end: number | null = null): string {
    return this.#add({ type: "slice", name: null, inputs: [from], dim, begin, end });
  }

  #join(inputs: readonly string[], dim: number): string {
    return inputs.length === 1 ? inputs[0] : this.#add({ type: "concatenation", name: null, inputs, dim });
  }

  #add(part: Part): string {
    const label = String(this.#parts.length);
    this.#parts.push({ ...part, label });
    return label;
  }
}

function checkSequence({ input_size: wanted }: StackOptions, { type, shape }: Value): void {
  if (type !== "float32")
    throw new LayerFault(null, "takes numbers, but its input is integers: put an embedding before it");
  if (shape.length !== 2) {
    const message = `takes sequences [time, features], but its input is [${shape.join(", ")}]: set output to "all" if it is a recurrent layer's, else put a reshape before it`;
    throw new LayerFault(null, message);
  }
  checkInputSize("input_size", wanted, shape, -1);
}

/** Holds h_0 and c_0 to [layers × directions, hidden_size], or [hidden_size] where that is one. */
function checkStates(options: StackOptions, cells: boolean, given: readonly Value[]): void {
  const names = cells ? ["h_0", "c_0"] : ["h_0"];
  if (given.length > 0 && given.length !== names.length) {
    const message = `takes the sequence alone, or with ${names.join(" and ")}, but has ${given.length + 1} inputs`;
    throw new LayerFault("inputs", message);
  }
  const passes = options.num_layers * (options.bidirectional ? 2 : 1);
  const wanted = [passes, options.hidden_size];
  for (const [i, { shape, type }] of given.entries()) {
    const fits = String(shape) === String(wanted) || (passes === 1 && String(shape) === String(wanted[1]));
    if (fits && type === "float32") continue;
    const message = `takes ${names[i]} as numbers [${wanted.join(", ")}], for each layer and direction, but it is ${type} [${shape.join(", ")}]`;
    throw new LayerFault(`inputs/${i + 1}`, message);
  }
}
