// Rows of a model's data become those of its lane in a pack (pack.kernel.as.ts).

/** Bytes of one number of all 16 models. */
const PACK: usize = 64;

/**
 * `count` rows of `width` numbers. The number of each lies at `rows`, the numbers of row r from
 * `from` + r × `step` bytes on, and the lane's first number at `to`.
 */
export function pack_gather(to: usize, from: usize, rows: usize, count: i32, width: i32, step: i32): void {
  for (let i = 0; i < count; i++, rows += 4) {
    let at = from + <usize>load<u32>(rows) * <usize>step;
    for (let j = 0; j < width; j++, at += 4, to += PACK) store<u32>(to, load<u32>(at));
  }
}
