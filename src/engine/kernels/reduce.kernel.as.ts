// Sums in double over float32 data. The order of additions is a function of the array's length
// alone:
//
//   an array is cut into blocks of SUM_BLOCK elements; in a block element i goes to running sum i
//   mod 8 and the eight are added up as ((0+1) + (2+3)) + ((4+5) + (6+7)); elements after the last
//   whole eight of a block are added to that one by one; the sums of blocks are added in ascending
//   order.
//
// So threads may take blocks in any division and add the blocks' sums up with `sum_f64`: the bits
// are those of one call over the whole.

/** Elements in a block; SUM_BLOCK of optimizer.ts. */
const SUM_BLOCK: i32 = 4096;

/** The sum of `count` float32. */
export function sum_f32(address: usize, count: i32): f64 {
  return blocks(address, count, TERM_VALUE, 1);
}

/** The part of `count` float32 in a p-norm: the sum of |x|^p, or for p = ∞ the largest |x|. */
export function norm_part(address: usize, count: i32, p: f64): f64 {
  if (p == 2) return blocks(address, count, TERM_SQUARE, p);
  if (p == 1) return blocks(address, count, TERM_ABSOLUTE, p);
  if (p == Infinity) return largest(address, count);
  return blocks(address, count, TERM_POWER, p);
}

/** The p-norm whose parts add up to `sum` (of which `sum` is the largest, for p = ∞). */
export function norm_of(sum: f64, p: f64): f64 {
  if (p == 1 || p == Infinity) return sum;
  return p == 2 ? sqrt<f64>(sum) : NativeMath.pow(sum, 1 / p);
}

/** The sum of `count` float64 in ascending order. */
export function sum_f64(address: usize, count: i32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += load<f64>(address + (<usize>i << 3));
  return sum;
}

const TERM_VALUE = 0, TERM_SQUARE = 1, TERM_ABSOLUTE = 2, TERM_POWER = 3;

@inline
function blocks(address: usize, count: i32, term: i32, p: f64): f64 {
  let sum: f64 = 0;
  for (let begin = 0; begin < count; begin += SUM_BLOCK) {
    sum += block(address + (<usize>begin << 2), min(count - begin, SUM_BLOCK), term, p);
  }
  return sum;
}

@inline
function block(address: usize, count: i32, term: i32, p: f64): f64 {
  let sum01 = f64x2.splat(0), sum23 = f64x2.splat(0), sum45 = f64x2.splat(0), sum67 = f64x2.splat(0);
  const whole = address + (<usize>(count & ~7) << 2), end = address + (<usize>count << 2);
  let at = address;
  for (; at < whole; at += 32) {
    sum01 = f64x2.add(sum01, pair(at, term, p));
    sum23 = f64x2.add(sum23, pair(at + 8, term, p));
    sum45 = f64x2.add(sum45, pair(at + 16, term, p));
    sum67 = f64x2.add(sum67, pair(at + 24, term, p));
  }
  let sum = (across(sum01) + across(sum23)) + (across(sum45) + across(sum67));
  for (; at < end; at += 4) sum += termOf(load<f32>(at), term, p);
  return sum;
}

@inline
function across(pair: v128): f64 {
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

/** The terms of two neighbours. */
@inline
function pair(address: usize, term: i32, p: f64): v128 {
  const x = f64x2.promote_low_f32x4(v128.load64_zero(address));
  if (term == TERM_VALUE) return x;
  if (term == TERM_SQUARE) return f64x2.mul(x, x);
  if (term == TERM_ABSOLUTE) return f64x2.abs(x);
  return f64x2.replace_lane(f64x2.splat(termOf(load<f32>(address), term, p)), 1, termOf(load<f32>(address + 4), term, p));
}

@inline
function termOf(value: f32, term: i32, p: f64): f64 {
  const x = <f64>value;
  if (term == TERM_VALUE) return x;
  if (term == TERM_SQUARE) return x * x;
  if (term == TERM_ABSOLUTE) return abs(x);
  return p == 3 ? abs(x) * abs(x) * abs(x) : NativeMath.pow(abs(x), p);
}

/** NaN if one is among them: f32x4.max keeps it. */
function largest(address: usize, count: i32): f64 {
  let result: f32 = 0;
  for (let i = 0; i < count; i++) result = max(result, abs(load<f32>(address + (<usize>i << 2))));
  return <f64>result;
}
