/** A matrix [rows, columns] of numbers that lie rowBytes and columnBytes apart, row by row. */
export function copy_apart(to: usize, from: usize, rows: i32, columns: i32, rowBytes: i32, columnBytes: i32): void {
  let i = 0;
  if (rowBytes == 4) {
    for (; i + 4 <= rows; i += 4) fourRows(to + (i * columns << 2), from + (i << 2), columns, columnBytes);
  }
  for (; i < rows; i++) row(to + (i * columns << 2), from + i * rowBytes, columns, columnBytes);
}

/** Four rows whose numbers lie side by side: blocks of 4 × 4 are turned in registers. */
function fourRows(to: usize, from: usize, columns: i32, columnBytes: i32): void {
  const rowBytes = columns << 2;
  let j = 0;
  for (; j + 4 <= columns; j += 4) {
    const x0 = v128.load(from), x1 = v128.load(from + columnBytes);
    const x2 = v128.load(from + 2 * columnBytes), x3 = v128.load(from + 3 * columnBytes);
    const low01 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), low23 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5);
    const high01 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7), high23 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    const at = to + (j << 2);
    v128.store(at, v128.shuffle<f64>(low01, low23, 0, 2));
    v128.store(at + rowBytes, v128.shuffle<f64>(low01, low23, 1, 3));
    v128.store(at + 2 * rowBytes, v128.shuffle<f64>(high01, high23, 0, 2));
    v128.store(at + 3 * rowBytes, v128.shuffle<f64>(high01, high23, 1, 3));
    from += 4 * columnBytes;
  }
  for (let i = 0; i < 4; i++) row(to + i * rowBytes + (j << 2), from + (i << 2), columns - j, columnBytes);
}

@inline
function row(to: usize, from: usize, columns: i32, columnBytes: i32): void {
  let j = 0;
  if (columnBytes == 4) {
    for (; j + 4 <= columns; j += 4) {
      v128.store(to + (j << 2), v128.load(from));
      from += 16;
    }
  }
  for (; j < columns; j++) {
    store<i32>(to + (j << 2), load<i32>(from));
    from += columnBytes;
  }
}
