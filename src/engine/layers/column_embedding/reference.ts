/** A sample: the row of its table that each column's code names, then the numbers. */
export function forward(
  codes: readonly number[],
  numbers: readonly number[],
  tables: readonly (readonly (readonly number[])[])[],
): number[] {
  return [...codes.flatMap((code, column) => tables[column][code]), ...numbers];
}
