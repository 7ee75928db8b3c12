// Rows of a table, chosen by int32.
import { include } from "../../kernels/row-set.as";
import { addRow, copyRow } from "../../kernels/rows.as";

/**
 * y[i] = the row of `weight` that ids[i] names; NaN for an id outside of 0..rows − 1. The ids lie
 * `idStep` bytes apart, and the rows of y `yStep`.
 */
export function embedding_forward(
  ids: usize, weight: usize, y: usize, count: i32, rows: i32, size: i32, idStep: i32, yStep: i32,
): void {
  const bytes = <usize>size << 2;
  for (let i = 0; i < count; i++, ids += idStep, y += yStep) {
    const id = load<u32>(ids);
    if (id < <u32>rows) copyRow(y, weight + <usize>id * bytes, bytes);
    else memory.fill(y, 0xff, bytes);
  }
}

/**
 * Rows begin..end of the table's gradient: what the gradients of their uses add up to, in ascending
 * order of sample and place. `order` holds each sample's `places` places in ascending order of the
 * id that stands there, so that a range of rows finds its uses without a look at all ids. The
 * gradient of row `padding` is 0.
 */
export function embedding_gradient(
  out: usize, ids: usize, order: usize, g: usize, samples: i32, places: i32, size: i32, begin: i32, end: i32, padding: i32,
): void {
  const bytes = <usize>size << 2;
  memory.fill(out + <usize>begin * bytes, 0, <usize>(end - begin) * bytes);
  addUses(out, ids, order, g, samples, places, size, begin, end, padding, 0, 0, 0);
}

/**
 * The same, added to what is there. The rows that are used are added to a set of `count` rows.
 * Returns how many there are then.
 */
export function embedding_sparse_gradient(
  out: usize, ids: usize, order: usize, g: usize, samples: i32, places: i32, size: i32, begin: i32, end: i32, padding: i32,
  list: usize, index: usize, count: i32,
): i32 {
  return addUses(out, ids, order, g, samples, places, size, begin, end, padding, list, index, count);
}

/** `list`: 0 if the rows are not listed. */
@inline
function addUses(
  out: usize, ids: usize, order: usize, g: usize, samples: i32, places: i32, size: i32, begin: i32, end: i32, padding: i32,
  list: usize, index: usize, count: i32,
): i32 {
  const bytes = <usize>size << 2, step = <usize>places << 2;
  for (let sample = 0; sample < samples; sample++) {
    for (let i = firstUse(ids, order, places, begin); i < places; i++) {
      const place = load<i32>(order + (<usize>i << 2)), id = load<i32>(ids + (<usize>place << 2));
      if (id >= end) break;
      if (id == padding) continue;
      if (list != 0) count = include(list, index, count, id);
      addRow(out + <usize>id * bytes, g + <usize>place * bytes, bytes);
    }
    ids += step;
    order += step;
    g += <usize>places * bytes;
  }
  return count;
}

/** The first place in `order` whose id is at least `begin`. */
function firstUse(ids: usize, order: usize, places: i32, begin: i32): i32 {
  let low = 0, high = places;
  while (low < high) {
    const middle = (low + high) >> 1;
    const place = load<i32>(order + (<usize>middle << 2));
    if (load<i32>(ids + (<usize>place << 2)) < begin) low = middle + 1;
    else high = middle;
  }
  return low;
}
