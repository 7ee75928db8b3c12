// Columns of a table: an id in each sample, and numbers beside them.
import { include } from "../../kernels/row-set.as";
import { addRow } from "../../kernels/rows.as";

/**
 * Rows begin..end of a column's table of gradients: what the gradients of their uses add up to, in
 * ascending order of sample. The ids lie `idStep` bytes apart, and the gradients of their vectors
 * `gStep`. The gradient of row 0 is 0.
 */
export function column_gradient(
  out: usize, ids: usize, g: usize, samples: i32, size: i32, idStep: i32, gStep: i32, begin: i32, end: i32,
): void {
  const bytes = <usize>size << 2;
  memory.fill(out + <usize>begin * bytes, 0, <usize>(end - begin) * bytes);
  addUses(out, ids, g, samples, size, idStep, gStep, begin, end, 0, 0, 0);
}

/**
 * The same, added to what is there. The rows that are used are added to a set of `count` rows.
 * Returns how many there are then.
 */
export function column_sparse_gradient(
  out: usize, ids: usize, g: usize, samples: i32, size: i32, idStep: i32, gStep: i32, begin: i32, end: i32,
  list: usize, index: usize, count: i32,
): i32 {
  return addUses(out, ids, g, samples, size, idStep, gStep, begin, end, list, index, count);
}

/** `list`: 0 if the rows are not listed. */
@inline
function addUses(
  out: usize, ids: usize, g: usize, samples: i32, size: i32, idStep: i32, gStep: i32, begin: i32, end: i32,
  list: usize, index: usize, count: i32,
): i32 {
  const bytes = <usize>size << 2;
  const first = max(begin, 1);
  for (let i = 0; i < samples; i++, ids += idStep, g += gStep) {
    const id = load<i32>(ids);
    if (id < first || id >= end) continue;
    if (list != 0) count = include(list, index, count, id);
    addRow(out + <usize>id * bytes, g, bytes);
  }
  return count;
}
