// Sums in double over vectors of float32: the two halves of a vector, each as two doubles.

@inline
export function lower(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}

@inline
export function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 1));
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
