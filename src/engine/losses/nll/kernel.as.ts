/**
 * Takes rows of `classes` log-probabilities and the class index (int32) of each. `weight` holds a
 * float per class. Rows whose target is `ignored`, or not a class, have loss and gradient 0.
 */
export function nll(
  x: usize, target: usize, weight: usize, terms: usize, gradient: usize, rows: i32, classes: i32, ignored: i32, scale: f32,
): void {
  const bytes = <usize>classes << 2;
  for (let row = 0; row < rows; row++) {
    const index = load<i32>(target), at = <usize>index << 2;
    const counts = index != ignored && <u32>index < <u32>classes;
    store<f32>(terms, counts ? -load<f32>(weight + at) * load<f32>(x + at) : 0);
    if (gradient != 0) {
      memory.fill(gradient, 0, bytes);
      if (counts) store<f32>(gradient + at, -scale * load<f32>(weight + at));
      gradient += bytes;
    }
    x += bytes;
    target += 4;
    terms += 4;
  }
}
