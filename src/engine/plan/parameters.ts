import { configure } from "../optimizers/configure.ts";
import type { LearningGroup } from "./groups.ts";
import type { MemoryMap } from "./memory.ts";
import type { Shape } from "../member/shape.ts";
import type { RowSet } from "../layers/layer.ts";
import { SUM_BLOCK, type StateTensor } from "../optimizers/optimizer.ts";
import type { ParameterUse, PlannedTraining, ShapedParameter } from "./shapes.ts";

export interface PlannedParameter extends ShapedParameter {
  readonly weight: number;
  /** 0 if it is frozen. */
  readonly gradient: number;
  readonly uses: readonly PlannedUse[];
  /** The optimizer's tensors, in its order; none if it is frozen. */
  readonly state: readonly PlannedState[];
  /**
   * The weights that are evaluated and served: `weight` itself, unless the optimizer has others or
   * averages are taken.
   */
  readonly evaluated: number;
  /** Best weights, 0 unless they are kept. */
  readonly best: number;
  /** The number of rows in one unit. A thread or tile always has whole units. */
  readonly unitRows: number;
  /**
   * Where the rows that a step's batches use are listed (step/sparse.ts). Null: its gradient is
   * computed for all rows.
   */
  readonly rows: Pick<RowSet, "list" | "index"> | null;
  /**
   * The number of this tensor's first SUM_BLOCK. Blocks of parameters that learn are counted first,
   * then those of frozen ones.
   */
  readonly firstBlock: number;
}

/** A use of a parameter, and where the part of the gradient that comes from it is written. */
export interface PlannedUse extends ParameterUse {
  readonly gradient: number;
}

/** One of the optimizer's tensors for a parameter. */
export interface PlannedState extends Required<StateTensor> {
  readonly address: number;
}

/** A parameter with its place in the state. */
export type KeptParameter = ShapedParameter &
  Omit<PlannedParameter, "gradient" | "uses" | "unitRows" | "firstBlock" | "rows">;

/** Gets addresses for the gradients of the parameters that learn, and numbers all blocks. */
export function placeGradients(
  map: MemoryMap,
  kept: readonly KeptParameter[],
  groups: readonly LearningGroup[],
  training: PlannedTraining = {},
): PlannedParameter[] {
  const firstBlocks = new Map<KeptParameter, number>();
  let next = 0;
  for (const parameter of [...kept.filter(learns), ...kept.filter((parameter) => !learns(parameter))]) {
    firstBlocks.set(parameter, next);
    next += blocksOf(parameter);
  }
  const sparse = groups.map(({ optimizer }) => configure(optimizer).sparse && !training.gradient_noise);
  return kept.map((parameter) => {
    const take = (name: string) =>
      learns(parameter) ? map.take("gradients", `gradient ${name}`, parameter.length * 4) : 0;
    const uses = parameter.uses.map((use) => ({ ...use, gradient: take(use.name) }));
    const { gradient } = uses[0];
    const units = training.clip_grad_adaptive ? unitRows(parameter.shape) : 1;
    const listed = parameter.sparse && parameter.group !== null && sparse[parameter.group];
    const rows = listed && uses.length === 1 && units === 1 ? placeRows(map, parameter) : null;
    return { ...parameter, gradient, uses, unitRows: units, rows, firstBlock: firstBlocks.get(parameter)! };
  });
}

function placeRows(map: MemoryMap, { name, shape: [rows] }: KeptParameter): PlannedParameter["rows"] {
  const take = (what: string) => map.take("gradients", `${what} ${name}`, rows * 4);
  return { list: take("rows"), index: take("index of rows") };
}

/**
 * The rows of a unit of adaptive clipping. A unit is a row of a matrix or a whole vector;
 * dimensions of length 1 do not count.
 */
function unitRows(shape: Shape): number {
  return shape.filter((length) => length !== 1).length > 1 ? 1 : shape[0];
}

export const learns = ({ group }: ShapedParameter): boolean => group !== null;

export const blocksOf = ({ length }: ShapedParameter): number => Math.ceil(length / SUM_BLOCK);
