import type { Shape } from "../member/shape.ts";
import type { Options } from "../member/options.ts";
import { fans, type Initializer } from "./initializer.ts";

/*
 * The initial values that a spec can name, as `torch.nn.init` defines them. Each turns the shape of
 * a parameter into a distribution.
 */

const NONLINEARITIES = {
  linear: () => 1,
  sigmoid: () => 1,
  tanh: () => 5 / 3,
  relu: () => Math.SQRT2,
  leaky_relu: (slope: number | null) => Math.sqrt(2 / (1 + (slope ?? 0.01) ** 2)),
  selu: () => 3 / 4,
} as const satisfies Record<string, (parameter: number | null) => number>;

export type Nonlinearity = keyof typeof NONLINEARITIES;

/**
 * The factor that makes up for how much an activation shrinks its input
 * (`torch.nn.init.calculate_gain`).
 */
export function calculateGain(nonlinearity: Nonlinearity, parameter: number | null = null): number {
  return NONLINEARITIES[nonlinearity](parameter);
}

export interface InitializerOptions {
  /** By default 1 for Xavier and the gain of ReLU for Kaiming. */
  readonly gain?: number;
  /**
   * Whether Kaiming keeps the variance of the forward pass (fan_in) or of the backward pass
   * (fan_out).
   */
  readonly mode?: "fan_in" | "fan_out";
}

const INITIALIZERS = {
  /**
   * The default of torch.nn's linear and convolutional layers: kaiming_uniform with a = √5, whose
   * bound is 1/√fan_in.
   */
  default: (shape) => uniform(1 / Math.sqrt(fans(shape).fanIn)),
  /** He et al., "Delving deep into rectifiers", ICCV 2015 (arXiv:1502.01852). */
  kaiming_uniform: (shape, options) => uniform(Math.sqrt(3) * kaiming(shape, options)),
  kaiming_normal: (shape, options) => normal(kaiming(shape, options)),
  /**
   * Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
   * AISTATS 2010.
   */
  xavier_uniform: (shape, options) => uniform(Math.sqrt(3) * xavier(shape, options)),
  xavier_normal: (shape, options) => normal(xavier(shape, options)),
  /** LeCun et al., "Efficient backprop", 1998. */
  lecun_normal: (shape) => normal(1 / Math.sqrt(fans(shape).fanIn)),
  zeros: () => ({ distribution: "constant", value: 0 }),
} as const satisfies Record<string, (shape: Shape, options: InitializerOptions) => Initializer>;

export type InitializerName = keyof typeof INITIALIZERS;

const NAMES = Object.keys(INITIALIZERS) as InitializerName[];

/**
 * The initial values called `name` for a parameter of `shape`. A bias takes the shape of its
 * weight, because it has no fans of its own.
 */
export function initializer(name: InitializerName, shape: Shape, options: InitializerOptions = {}): Initializer {
  return INITIALIZERS[name](shape, options);
}

/** The options of a layer with `weight` and `bias` for their initial values. */
export const initOptions = {
  weight_init: {
    kind: "choice",
    choices: NAMES,
    default: "default",
    doc: "Initial values of the weights. Kaiming suits layers before ReLU and similar, Xavier layers before tanh or sigmoid.",
  },
  bias_init: {
    kind: "choice",
    choices: ["default", "zeros"],
    default: "default",
    doc: "Initial values of the bias: uniform within 1/√fan_in, or 0.",
  },
} as const satisfies Options;

function kaiming(shape: Shape, { gain = Math.SQRT2, mode = "fan_in" }: InitializerOptions): number {
  const { fanIn, fanOut } = fans(shape);
  return gain / Math.sqrt(mode === "fan_in" ? fanIn : fanOut);
}

function xavier(shape: Shape, { gain = 1 }: InitializerOptions): number {
  const { fanIn, fanOut } = fans(shape);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
}

const uniform = (bound: number): Initializer => ({ distribution: "uniform", bound });
const normal = (deviation: number): Initializer => ({ distribution: "normal", deviation });
