/** A unit's state, and its cell where the layer has cells (else 0); or the gradients of both. */
export interface CellState {
  readonly h: number;
  readonly c: number;
}

export interface CellGradient {
  /** Of the gates' sums over the input, and of those over the states. */
  readonly input: readonly number[];
  readonly recurrent: readonly number[];
  /** Of the state and the cell from before the step, past the sums. */
  readonly before: CellState;
}

export interface CellOptions {
  readonly nonlinearity?: string;
}

/** What a kind of recurrent layer makes of the sums of one unit's gates (its reference.ts). */
export interface CellReference {
  forward(input: readonly number[], recurrent: readonly number[], before: CellState, options: CellOptions): CellState;
  backward(
    input: readonly number[],
    recurrent: readonly number[],
    before: CellState,
    gradient: CellState,
    options: CellOptions,
  ): CellGradient;
}
