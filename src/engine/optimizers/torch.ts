import type { Options, ValuesOf } from "../member/options.ts";
import type { Shape } from "../member/shape.ts";

/*
 * How torch.optim keeps the state of an optimizer. Options, tensors and doubles already have
 * PyTorch's names, shapes and meaning, so an optimizer declares only its class and how that
 * differs. The number of steps and the optimizer's doubles are kept once here; PyTorch keeps them
 * for each parameter.
 */

export interface TorchForm<O extends Options = Options> {
  /** Its class in torch.optim. */
  readonly name: string;
  /** Options that the class does not have. */
  readonly lacks?: readonly (keyof O & string)[];
  /** Options of the class with a fixed value. */
  sets?(options: ValuesOf<O>): Readonly<Record<string, unknown>>;
  /** True if the class does not count its steps. */
  readonly uncounted?: boolean;
  /** Whether the class takes parameters of a shape; by default it takes all. */
  takes?(shape: Shape): boolean;
  /** For a class that keeps one state for all parameters, with the first of them: that state. */
  whole?(
    options: ValuesOf<O>,
    parameters: readonly TorchParameter[],
    scalars: Readonly<Record<string, number>>,
  ): Readonly<Record<string, TorchValue>>;
}

export interface TorchParameter {
  readonly name: string;
  readonly shape: Shape;
}

/** A part of PyTorch's state; null stands for nothing yet. */
export type TorchItem = number | null | TorchTensor;
export type TorchValue = TorchItem | readonly TorchItem[];

/** A tensor that joins stretches of the tensors of a state. */
export interface TorchTensor {
  readonly shape: Shape;
  readonly of: readonly Stretch[];
}

/** Elements begin..begin + length of a tensor in the state file. */
export interface Stretch {
  readonly tensor: string;
  readonly begin: number;
  readonly length: number;
}
