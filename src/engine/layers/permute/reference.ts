/** The values of an array of `shape`, its dimensions in the order `dims`, row by row. */
export function permute<T>(x: ArrayLike<T>, shape: readonly number[], dims: readonly number[]): T[] {
  const stride = (dim: number) => shape.slice(dim + 1).reduce((product, length) => product * length, 1);
  const visit = (at: number, [dim, ...inner]: readonly number[]): T[] =>
    dim === undefined
      ? [x[at]]
      : Array.from({ length: shape[dim] }, (_, i) => visit(at + i * stride(dim), inner)).flat();
  return visit(0, dims);
}
