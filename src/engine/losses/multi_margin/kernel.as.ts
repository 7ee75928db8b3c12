import { load as loadFloats, select, store as storeFloats } from "../../kernels/vector.as";

/**
 * Takes rows of `classes` outputs and the class index (int32) of each. `weight` holds a float per
 * class. Rows whose target is not a class have loss and gradient 0.
 */
export function multi_margin(
  x: usize, target: usize, weight: usize, terms: usize, gradient: usize, rows: i32, classes: i32, square: bool,
  margin: f32, scale: f32,
): void {
  const bytes = <usize>classes << 2;
  for (let row = 0; row < rows; row++) {
    const index = load<i32>(target);
    if (<u32>index < <u32>classes) {
      const share = load<f32>(weight + (<usize>index << 2)) / <f32>classes;
      if (square) rowLoss<Square>(x, index, terms, gradient, bytes, margin, share, scale);
      else rowLoss<Plain>(x, index, terms, gradient, bytes, margin, share, scale);
    } else {
      store<f32>(terms, 0);
      if (gradient != 0) memory.fill(gradient, 0, bytes);
    }
    x += bytes;
    target += 4;
    terms += 4;
    if (gradient != 0) gradient += bytes;
  }
}

/** h = max(0, margin − x_target + x_c), and its derivative. NaN stays NaN. */
class Plain {
  @inline term(h: v128): v128 {
    return h;
  }
  @inline slope(h: v128): v128 {
    return select(f32x4.splat(1), h, f32x4.gt(h, f32x4.splat(0)));
  }
}

class Square {
  @inline term(h: v128): v128 {
    return f32x4.mul(h, h);
  }
  @inline slope(h: v128): v128 {
    return f32x4.add(h, h);
  }
}

const BLOCK: usize = 256 * 4;

/**
 * The sums over classes have an order that depends on their number alone. In a block of 256
 * classes, class j is added to lane j mod 4, and the lanes are then added as (0 + 1) + (2 + 3). The
 * blocks are added one by one in double, and after them the up to three classes that do not fill
 * four lanes.
 */
@inline
function rowLoss<F>(
  x: usize, index: i32, term: usize, gradient: usize, bytes: usize, margin: f32, share: f32, scale: f32,
): void {
  const f = changetype<F>(0), whole = bytes & ~15, right = <usize>index << 2;
  const ahead = f32x4.splat(margin - load<f32>(x + right)), factor = f32x4.splat(scale * share);
  let sum: f64 = 0, pull: f64 = 0, i: usize = 0;
  while (i < whole) {
    let terms = f32x4.splat(0), slopes = f32x4.splat(0);
    for (const end = min(i + BLOCK, whole); i < end; i += 16) {
      const h = missing(x + i, i, index, ahead, true), slope = f.slope(h);
      terms = f32x4.add(terms, f.term(h));
      slopes = f32x4.add(slopes, slope);
      if (gradient != 0) storeFloats(gradient + i, f32x4.mul(factor, slope), true);
    }
    sum += lanes(terms);
    pull += lanes(slopes);
  }
  for (; i < bytes; i += 4) {
    const h = missing(x + i, i, index, ahead, false), slope = f.slope(h);
    sum += <f64>f32x4.extract_lane(f.term(h), 0);
    pull += <f64>f32x4.extract_lane(slope, 0);
    if (gradient != 0) storeFloats(gradient + i, f32x4.mul(factor, slope), false);
  }
  store<f32>(term, <f32>(sum * <f64>share));
  if (gradient != 0) store<f32>(gradient + right, <f32>(-pull * <f64>(scale * share)));
}

/** What class `i` / 4 and the three after it lack of the margin; the right class lacks nothing. */
@inline
function missing(x: usize, i: usize, index: i32, ahead: v128, full: bool): v128 {
  const classes = i32x4.add(i32x4.splat(<i32>(i >> 2)), i32x4(0, 1, 2, 3));
  const h = f32x4.pmax(f32x4.add(ahead, loadFloats(x, full)), f32x4.splat(0));
  return v128.and(h, i32x4.ne(classes, i32x4.splat(index)));
}

@inline
function lanes(sums: v128): f64 {
  const pairs = f32x4.add(sums, i32x4.shuffle(sums, sums, 1, 0, 3, 2));
  return <f64>f32x4.extract_lane(f32x4.add(pairs, i32x4.shuffle(pairs, pairs, 2, 3, 0, 1)), 0);
}
