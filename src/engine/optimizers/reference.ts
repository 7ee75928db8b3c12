/**
 * The plain form of an optimizer: one step over its tensors, element by element, in double. Tests
 * hold the kernel to it, and it is the place to read what an optimizer does. A folder's
 * `reference.ts` exports one for each of its members, under the name in the registry. A dialect
 * that differs in names alone needs none. The options are those of the default dialect.
 */
export type Reference<Options> = (options: Options, tensors: readonly ReferenceTensor[], t: number, lr: number) => void;

/** The reference of an optimizer among the options of another, with its own options. */
export type InnerReference = (tensors: readonly ReferenceTensor[], t: number, lr: number) => void;

export interface ReferenceTensor {
  readonly shape: readonly number[];
  readonly weight: Float64Array;
  readonly gradient: Float64Array;
  /** The state's tensors by name. */
  readonly state: Readonly<Record<string, Float64Array>>;
  /** The optimizer's persistent scalars by name. */
  readonly scalars: Record<string, number>;
  readonly evaluated: Float64Array;
}

/** Makes the reference of an optimizer that looks at one tensor at a time. */
export function each<Options>(
  step: (options: Options, tensor: ReferenceTensor, t: number, lr: number) => void,
): Reference<Options> {
  return (options, tensors, t, lr) => {
    for (const tensor of tensors) step(options, tensor, t, lr);
  };
}
