import type { Options, ValuesOf } from "../member/options.ts";
import type { Shape } from "../member/shape.ts";

/*
 * How torch.optim keeps the state of an optimizer. Options, tensors and doubles have PyTorch's
 * names, shapes and meaning already, so that an optimizer declares only its class and where that
 * differs. PyTorch keeps for each parameter what is one number here: the steps, and the optimizer's
 * doubles.
 */

export interface TorchForm<O extends Options = Options> {
  /** Its class in torch.optim. */
  readonly name: string;
  /** Options that the class does not have. */
  readonly lacks?: readonly (keyof O & string)[];
  /** What the class sets for itself. */
  sets?(options: ValuesOf<O>): Readonly<Record<string, unknown>>;
  /** True if it does not count its steps. */
  readonly uncounted?: boolean;
  /** The shapes it takes; all unless said otherwise. */
  takes?(shape: Shape): boolean;
  /**
   * For a class that keeps everything with the first parameter, as a state of all of them: what it
   * is.
   */
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

/** A part of PyTorch's state; null: nothing yet. */
export type TorchItem = number | null | TorchTensor;
export type TorchValue = TorchItem | readonly TorchItem[];

/** A tensor made of stretches of a state's tensors, one after the other. */
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
