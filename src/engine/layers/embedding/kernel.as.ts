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

/** Places of a sample that are sorted by insertion: counting digits takes longer. */
const FEW: i32 = 32;

/**
 * Leaves each sample's places in ascending order of (id, place). `scratch` holds 1,024 bytes and
 * an int32 for each place.
 */
export function embedding_sort(ids: usize, order: usize, samples: i32, places: i32, rows: i32, scratch: usize): void {
  const step = <usize>places << 2;
  for (let sample = 0; sample < samples; sample++, ids += step, order += step) {
    if (places <= FEW) insert(ids, order, step);
    else sortDigits(ids, order, step, rows - 1, scratch);
  }
}

function insert(ids: usize, order: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 4) {
    const id = load<i32>(ids + i);
    let to = order + i;
    for (; to > order && load<i32>(ids + (<usize>load<i32>(to - 4) << 2)) > id; to -= 4) store<i32>(to, load<i32>(to - 4));
    store<i32>(to, <i32>(i >> 2));
  }
}

/** From the last byte of the ids to the first that `greatest` has: places move to and fro. */
function sortDigits(ids: usize, order: usize, bytes: usize, greatest: i32, scratch: usize): void {
  let from = order, to = scratch + 1024;
  for (let i: usize = 0; i < bytes; i += 4) store<i32>(order + i, <i32>(i >> 2));
  for (let shift = 0; shift == 0 || (shift < 32 && greatest >>> shift != 0); shift += 8) {
    memory.fill(scratch, 0, 1024);
    for (let i: usize = 0; i < bytes; i += 4) {
      const count = scratch + digit(ids + i, shift);
      store<i32>(count, load<i32>(count) + 1);
    }
    let before = 0;
    for (let i: usize = 0; i < 1024; i += 4) {
      const count = load<i32>(scratch + i);
      store<i32>(scratch + i, before);
      before += count;
    }
    for (let i: usize = 0; i < bytes; i += 4) {
      const place = load<i32>(from + i), next = scratch + digit(ids + (<usize>place << 2), shift);
      const at = load<i32>(next);
      store<i32>(to + (<usize>at << 2), place);
      store<i32>(next, at + 1);
    }
    const other = from;
    from = to;
    to = other;
  }
  if (from != order) memory.copy(order, from, bytes);
}

/** Where the count of an id's byte lies. */
@inline
function digit(id: usize, shift: i32): usize {
  return <usize>((load<i32>(id) >>> shift) & 255) << 2;
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
