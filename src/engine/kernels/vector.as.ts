// Loads and stores that serve the vector body and the scalar tail of an elementwise kernel with one
// piece of code.
//
// A kernel writes its arithmetic once, as an inlined function of `full`: four elements at a time
// while there are four, then one at a time in lane 0 with the other lanes zero. The arithmetic of a
// lane does not depend on its neighbours, so that both give the same bits.

@inline
export function load(address: usize, full: bool): v128 {
  return full ? v128.load(address) : v128.load32_zero(address);
}

@inline
export function store(address: usize, value: v128, full: bool): void {
  if (full) v128.store(address, value);
  else v128.store32_lane(address, value, 0);
}

/** a × b + c, rounded once. */
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

/** c − a × b, rounded once. */
@inline
export function fnma(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_nmadd(a, b, c);
}

/**
 * a where `mask`, a comparison's result, is true, else b: one instruction, where bitselect takes
 * three.
 */
@inline
export function select(a: v128, b: v128, mask: v128): v128 {
  return i32x4.relaxed_laneselect(a, b, mask);
}
