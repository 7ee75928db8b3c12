/**
 * The plain form of an optimizer: one step over its tensors, element by element, in double. It is
 * what the kernel is held to, and the place to read what an optimizer does. A folder's
 * `reference.ts` exports one for each of its members, under the registry's name; a dialect that
 * differs in names alone needs none. Options are those of the default dialect.
 */
export type Reference<Options> = (options: Options, tensors: readonly ReferenceTensor[], t: number, lr: number) => void;

/** The reference of an optimizer that stands among another one's options, with its own options. */
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

/** The reference of an optimizer that looks at one tensor at a time. */
export function each<Options>(
  step: (options: Options, tensor: ReferenceTensor, t: number, lr: number) => void,
): Reference<Options> {
  return (options, tensors, t, lr) => {
    for (const tensor of tensors) step(options, tensor, t, lr);
  };
}
