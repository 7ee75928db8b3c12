/**
 * The plain form of an optimizer: one step over one tensor, element by element, in double. It is what the kernel is held to, and the place to read
 * what an optimizer does. A folder's `reference.ts` exports one for each of its members, under the member's name.
 */
export type Reference<Options> = (options: Options, tensor: ReferenceTensor, t: number, lr: number) => void;

export interface ReferenceTensor {
  readonly weight: Float64Array;
  readonly gradient: Float64Array;
  /** The state's tensors by name. */
  readonly state: Readonly<Record<string, Float64Array>>;
  /** The optimizer's persistent scalars by name. */
  readonly scalars: Record<string, number>;
  readonly evaluated: Float64Array;
}
