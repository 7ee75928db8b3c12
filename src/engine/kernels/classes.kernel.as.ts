/**
 * `before` plus the weights of `rows` class indices, in ascending order. Those that are `ignored`,
 * or no class, do not count. `weight` holds a float for each class.
 */
export function class_divisor(target: usize, rows: i32, weight: usize, classes: i32, ignored: i32, before: f64): f64 {
  for (let row = 0; row < rows; row++) {
    const index = load<i32>(target + (<usize>row << 2));
    if (index != ignored && <u32>index < <u32>classes) before += <f64>load<f32>(weight + (<usize>index << 2));
  }
  return before;
}
