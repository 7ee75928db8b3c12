/** A kernel as its AssemblyScript declares it. */
export interface Signature {
  readonly name: string;
  readonly parameters: readonly { readonly name: string; readonly type: string }[];
  readonly result: string;
}

/** The kernels that an AssemblyScript file exports. */
export function signatures(source: string): Signature[] {
  const found = source.matchAll(/^export function (\w+)\(([^)]*)\): (\w+)/gm);
  return [...found].map(([, name, list, result]) => ({
    name,
    parameters: list
      .split(",")
      .map((parameter) => parameter.split(":").map((part) => part.trim()))
      .filter(([parameter]) => parameter)
      .map(([parameter, type]) => ({ name: parameter, type })),
    result,
  }));
}
