// Single rows of tables, in bytes. They are short: four floats at a time, then one.

@inline
export function copyRow(to: usize, from: usize, bytes: usize): void {
  let i: usize = 0;
  for (const whole = bytes & ~15; i < whole; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i < bytes; i += 4) store<f32>(to + i, load<f32>(from + i));
}

@inline
export function addRow(to: usize, from: usize, bytes: usize): void {
  let i: usize = 0;
  for (const whole = bytes & ~15; i < whole; i += 16) v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)));
  for (; i < bytes; i += 4) store<f32>(to + i, load<f32>(to + i) + load<f32>(from + i));
}
