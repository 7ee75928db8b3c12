/** The rows of a table that `ids` name. */
export function forward(ids: readonly number[], weight: readonly (readonly number[])[]): number[][] {
  return ids.map((id) => [...weight[id]]);
}
