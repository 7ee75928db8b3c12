// What pooling layers share: windows of a plane, and loads of one element of four neighbouring
// windows.

/** The first of `count` windows whose elements all lie at or after the start of the input. */
@inline
export function firstInside(padding: i32, stride: i32, count: i32): i32 {
  return min((padding + stride - 1) / stride, count);
}

/**
 * The end of the windows that end within an input of `size`; `reach` is the last tap's distance.
 */
@inline
export function insideEnd(size: i32, reach: i32, padding: i32, stride: i32, count: i32): i32 {
  const room = size - 1 - reach + padding;
  return room < 0 ? 0 : min(room / stride + 1, count);
}

/** Four floats that lie `stride` floats apart; nothing beyond the last of them is read. */
@inline
export function loadApart(at: usize, stride: i32): v128 {
  if (stride == 1) return v128.load(at);
  if (stride == 2) return v128.shuffle<f32>(v128.load(at), v128.load(at, 12), 0, 2, 5, 7);
  const step = stride << 2;
  let x = v128.load32_zero(at);
  x = v128.load32_lane(at + step, x, 1);
  x = v128.load32_lane(at + 2 * step, x, 2);
  return v128.load32_lane(at + 3 * step, x, 3);
}

/** Adds `value` to rows top..bottom and columns left..right of a plane. */
@inline
export function addTo(plane: usize, width: i32, top: i32, bottom: i32, left: i32, right: i32, value: f32): void {
  for (let p = top; p < bottom; p++) {
    const row = plane + (p * width << 2);
    let q = left;
    for (; q + 4 <= right; q += 4) {
      const at = row + (q << 2);
      v128.store(at, f32x4.add(v128.load(at), f32x4.splat(value)));
    }
    for (; q < right; q++) {
      const at = row + (q << 2);
      store<f32>(at, load<f32>(at) + value);
    }
  }
}
