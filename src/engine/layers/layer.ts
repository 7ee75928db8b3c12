import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import type { Member } from "../settings.ts";
import type { Initializer } from "../initializers/initializer.ts";
import type { ElementType, OutputKind, Shape } from "../member/shape.ts";

/*
 * What a layer is: a declaration, the shapes it makes, and the work of its kernels.
 *
 * `forward` and `backward` run by samples: on samples begin..end of the batch, and nothing else.
 * `gradient` runs by parameters: over the whole batch, on rows begin..end of one parameter. A layer
 * that mixes samples, such as batch_norm, declares how many sums over the batch it takes, and has
 * two more stages that run by those sums: `mixForward` before `forward` and `mixBackward` before
 * `backward`. The crew meets before and after them, and nowhere else between layers. A layer knows
 * nothing of threads.
 *
 * A layer that is made of other layers declares only how it expands into them (graph.ts).
 */
export interface LayerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** True if it applies one function to every element (elementwise.ts). */
  readonly elementwise?: boolean;
  /**
   * True if the gradient is 0 wherever the output is not positive, so that a unit may stop learning
   * for good; observed steps count those.
   */
  readonly mortal?: boolean;
  /** True if the derivative is small almost everywhere. */
  readonly saturates?: boolean;
  /** True if a spec cannot name it: other layers and containers expand into it. */
  readonly internal?: boolean;
  /**
   * True if it calls only kernels that packs of models have (pack/face.ts). Elementwise layers do.
   */
  readonly packs?: boolean;
  /** A use of it that the tests of all layers try. Default: any numbers, without options. */
  readonly example?: LayerExample;
  /**
   * True if its output always has the shape of its input. After the last layer that learns it
   * leaves that one's outputs to be inferred from the target.
   */
  readonly keepsShape?: boolean;
  /** What its outputs say where that does not depend on its input. */
  readonly gives?: OutputKind;
  /** How many inputs a spec may name for it. Default: 1. */
  readonly mostInputs?: number;
  /** The element type of its inputs, or of each of them in turn. Default: float32. */
  readonly takes?: ElementType | readonly ElementType[];
  /**
   * True if it takes the columns of a table apart: their classes and their numbers, which are the
   * inputs `COLUMN_INPUTS` of the data. It takes those that there are, unless its `inputs` name
   * others.
   */
  readonly takesColumns?: boolean;
  /** What the later passes read. Default: everything. */
  readonly needs?: Needs;
  /**
   * True if `backward` also prepares what `gradient` reads. It then runs wherever a parameter
   * learns, though no input may need a gradient.
   */
  readonly preparesGradient?: boolean;
  /**
   * True if `forward` may write its output over its input, and `backward` its input gradient over
   * its output gradient. The plan lets it where nobody else reads what is overwritten.
   */
  readonly inPlace?: boolean;
  /**
   * Shapes for one sample (without the batch dimension). `wanted` is the number of outputs (the
   * last dimension) that the loss asks of the last layer, and null for every other layer.
   * @throws LayerFault where the inputs do not fit; the option it names goes into the problem's
   * pointer.
   */
  shape(options: ValuesOf<O>, inputs: readonly Value[], wanted: number | null): LayerShape;
  /** Whether the output for a sample is another at every step, by chance. */
  random?(options: ValuesOf<O>): boolean;
  /** What it is made of, if it is made of other layers (`defineComposite`). */
  expand?(options: ValuesOf<O>, inputs: readonly Value[], wanted: number | null): Expansion;
  create(kernels: Kernels, options: ValuesOf<O>, place: LayerPlace): Layer;
}

export interface LayerExample {
  /** The shape of a sample. Where the layer takes several inputs, it is called `x`. */
  readonly input: Shape;
  /** How many different integers there are, if it takes integers. */
  readonly tokens?: number;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A value that passes from layer to layer: what it is for one sample. */
export interface Value {
  readonly shape: Shape;
  readonly type: ElementType;
  /** Of integers: how many different ones there may be, counted from 0. Null: not known. */
  readonly categories?: number | readonly number[] | null;
  /** Of a list of integers that are classes of columns: the names of the columns. */
  readonly columns?: readonly string[];
}

/** What a table becomes for a layer that `takesColumns`, as far as it has such columns. */
export const COLUMN_INPUTS = ["categories", "numbers"] as const;

/** What a pass over a finished forward pass still reads. The output gradient is always there. */
export interface Needs {
  readonly backward: readonly Operand[];
  /** Also the output gradient, if the layer has parameters. */
  readonly gradient: readonly Operand[];
}

export type Operand = "input" | "output" | "saved";

export interface LayerShape {
  readonly output: Shape;
  readonly parameters: readonly ParameterShape[];
  /** State that does not learn: running statistics and counts. */
  readonly buffers?: readonly BufferShape[];
  /** Floats of a sample that are kept from the forward pass for the later ones. Default: 0. */
  readonly saved?: number;
  /** Bytes of scratch for each thread. The plan gives at least `MIN_SCRATCH_BYTES` anyway. */
  readonly scratch?: number;
  /** Of a layer that mixes samples while training. */
  readonly mixes?: Mixing;
  /** Options that were left to be inferred, as they came out. */
  readonly inferred?: Readonly<Record<string, unknown>>;
}

export interface Mixing {
  /** How many sums over the batch there are (for example channels); threads share them out. */
  readonly sums: number;
  /** How many values a sample has in each sum. A batch with a single value in a sum is refused. */
  readonly values: number;
  /** Floats for the results, which belong to the whole batch. */
  readonly floats: number;
}

export interface ParameterShape {
  readonly name: string;
  readonly shape: Shape;
  readonly initializer: Initializer;
  /**
   * Multiply-adds that one row's gradient (the first dimension's unit) takes for one sample; the
   * crew cuts its slices by it.
   */
  readonly rowCost: number;
  /**
   * True if a batch uses few of the rows, such as those of a table, and the gradient of all others
   * is zero. The layer then has `sparseGradient`.
   */
  readonly sparse?: boolean;
  /** The name of an earlier parameter of the same shape which this one is. Default: none. */
  readonly tiedTo?: string;
}

export interface BufferShape {
  readonly name: string;
  readonly shape: Shape;
  /** `int64` for counts. */
  readonly type: "float32" | "int64";
  readonly initial: number;
}

/**
 * The layers that a composite layer is made of, one after another. They may name the composite's
 * inputs `input0`, `input1`, …
 */
export interface Expansion {
  readonly layers: readonly Part[];
  readonly inferred?: Readonly<Record<string, unknown>>;
}

/**
 * A layer within an expansion, written as in a spec. It may be a `residual` of further parts, which
 * are named as if they stood beside it.
 */
export interface Part extends Member {
  /** What it adds to the path. Null: nothing, its parameters are the composite's own. */
  readonly name: string | null;
  /** What `inputs` of later parts call its output. Default: its name. */
  readonly label?: string;
  /** Names of earlier parts, or of the composite's inputs. */
  readonly inputs?: readonly string[];
}

/** The panel of a matrix product, which is the minimum scratch of one thread. */
export const MIN_SCRATCH_BYTES = 16384;

/** Bytes of scratch that `matmul_transposed` takes for a result of up to `rows` rows. */
export const transposedScratch = (rows: number): number => 8192 + Math.min(96, rows) * 1024;

/** A value's buffers: byte addresses of [batch, …shape] arrays, 64 bytes aligned per thread. */
export interface ValuePlace {
  /**
   * Sample i lies at `address + i × size × 4`. The addresses are good for this thread's samples
   * only, unless `needs.gradient` or a mixing stage asks for the whole batch.
   */
  readonly address: number;
  /** The gradient with respect to the value, likewise; 0 where none is needed. */
  readonly gradient: number;
  readonly shape: Shape;
  /** Elements of one sample. */
  readonly size: number;
}

/** Where everything of a layer lies, for one thread. */
export interface LayerPlace {
  readonly inputs: readonly ValuePlace[];
  readonly output: ValuePlace;
  /** The address of [batch, saved] floats; 0 if nothing is saved. */
  readonly saved: number;
  /** The address of the floats of `mixes`; 0 if the layer does not mix. */
  readonly mixed: number;
  /** The shape of each parameter, in the order of `parameters`. */
  readonly shapes: readonly Shape[];
  /** Gradient address of each parameter, likewise. */
  readonly gradients: readonly number[];
  /** The address of each buffer, in the order of `buffers`. */
  readonly buffers: readonly number[];
  /** The stream of this layer's random numbers. */
  readonly stream: number;
  /** Scratch of this thread alone. */
  readonly scratch: number;
}

export interface Layer {
  /**
   * Computes the output of samples begin..end. `weights` are the addresses of the parameters to
   * use.
   */
  forward(weights: readonly number[], begin: number, end: number, pass: ForwardPass): void;
  /**
   * Computes the gradient of each input that needs one, for samples begin..end, from the output
   * gradient. It writes the gradients; it never adds to what is there. Not called where no input
   * needs one, unless the layer `preparesGradient`.
   */
  backward(weights: readonly number[], begin: number, end: number, pass: ForwardPass): void;
  /**
   * Computes rows begin..end of parameter number `parameter`'s gradient over the first `samples`
   * samples of the batch.
   */
  gradient?(parameter: number, begin: number, end: number, samples: number): void;
  /**
   * The same for a parameter that is `sparse`, without a look at rows that the batch does not use:
   * adds those of begin..end that it uses to `rows`, and their gradients to what is there.
   */
  sparseGradient?(parameter: number, begin: number, end: number, samples: number, rows: RowSet): void;
  /**
   * Sums begin..end of those that mix, over the first `samples` samples of a training batch. Not
   * called when evaluating. Where the layer's statistics stay as they are, `forward` and `backward`
   * are told that this is no training, and only `mixBackward` is called, if a parameter learns.
   */
  mixForward?(begin: number, end: number, samples: number): void;
  mixBackward?(weights: readonly number[], begin: number, end: number, samples: number): void;
}

/**
 * A set of rows of a parameter (kernels/row-set.as.ts). Who adds rows in a kernel sets `count`.
 */
export interface RowSet {
  /** The address of its rows, as int32. */
  readonly list: number;
  /** The address of an int32 for each row of the parameter: its place in the list, if it is in. */
  readonly index: number;
  count: number;
}

/** What a forward pass is for. One object, changed in place. */
export interface ForwardPass {
  training: boolean;
  /** Which batch of the training it is, from 0; random numbers hang on it. */
  batch: number;
  /** The job's seed, an integer up to 2^53 - 1, as two unsigned 32-bit halves. */
  seedLow: number;
  seedHigh: number;
}

/** A layer that does not fit its inputs; becomes a 422 that names the option. */
export class LayerFault extends Error {
  readonly option: string | null;
  constructor(option: string | null, message: string) {
    super(message);
    this.option = option;
  }
}

export function defineLayer<const O extends Options>(type: LayerType<O>): LayerType<O> {
  return type;
}

/** Declares a layer that is made of others: it has no shape and no kernels of its own. */
export function defineComposite<const O extends Options>(
  type: Omit<LayerType<O>, "shape" | "create"> & Required<Pick<LayerType<O>, "expand">>,
): LayerType<O> {
  const unused = (): never => {
    throw new Error(`${type.type} is made of other layers`);
  };
  return { ...type, shape: unused, create: unused };
}
