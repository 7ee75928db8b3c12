// Sums in double over vectors of float32: the two halves of a vector, each as two doubles.

@inline
export function lower(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}

@inline
export function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 1));
}

/** Two pairs of doubles as four floats. */
@inline
export function narrow(low: v128, high: v128): v128 {
  return i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

/** The sum of a pair of doubles. */
@inline
export function across(pair: v128): f64 {
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

/**
 * sum + pair², rounded once: squares of float32 are exact in double, so that this is no more exact
 * than adding a product, but faster.
 */
@inline
export function addSquare(sum: v128, pair: v128): v128 {
  return f64x2.relaxed_madd(pair, pair, sum);
}
