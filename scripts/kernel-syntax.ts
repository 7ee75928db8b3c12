// What kernel-translator.ts knows of AssemblyScript's syntax, and of what it becomes in C.
import * as assemblyscript from "assemblyscript";

/** What this file uses of AssemblyScript, whose types have the tables as constants only. */
export const { NodeKind, Token, newOptions, newProgram, parse } = assemblyscript as unknown as {
  readonly NodeKind: Readonly<Record<string, number>>;
  readonly Token: Readonly<Record<string, number>>;
  newOptions(): object;
  newProgram(options: object): { readonly sources: readonly { readonly statements: readonly Tree[] }[] };
  parse(program: object, text: string, path: string, isEntry: boolean): void;
};

/** A node of AssemblyScript's syntax tree: `kind`, and fields that depend on it. */
export interface Tree {
  readonly kind: number;
  readonly range: { readonly start: number; readonly end: number; readonly source: { readonly text: string } };
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [field: string]: any;
}

/** Why a kernel is not translated. */
export class Untranslatable extends Error {}

export const C_TYPES: Readonly<Record<string, string>> = {
  void: "void",
  usize: "uint32_t",
  i32: "int32_t",
  u32: "uint32_t",
  f32: "float",
  bool: "int",
  f64: "double",
  v128: "V",
};

/** Functions that vectors.h defines, by file. */
export const DEFINED: Readonly<Record<string, readonly string[]>> = {
  "src/engine/kernels/vector.as.ts": ["load", "store", "fma", "fnma", "select"],
  "src/engine/kernels/math.as.ts": ["c", "polynomial"],
};

/** Operations on vectors that vectors.h defines. */
export const OPERATIONS = new Set(
  [
    ["f32x4", "splat add sub mul div sqrt neg abs min max pmin pmax eq ne lt le gt ge convert_i32x4_s"],
    ["i32x4", "splat add sub shl shr_s shr_u"],
    ["v128", "and or xor andnot bitselect"],
  ].flatMap(([type, names]) => names.split(" ").map((name) => `${type}.${name}`)),
);

const OPERATORS = new Map<number, string>([
  [Token.Plus, "+"],
  [Token.Minus, "-"],
  [Token.Asterisk, "*"],
  [Token.Slash, "/"],
  [Token.Equals, "="],
  [Token.Plus_Equals, "+="],
  [Token.Equals_Equals, "=="],
  [Token.Exclamation_Equals, "!="],
  [Token.LessThan, "<"],
  [Token.LessThan_Equals, "<="],
  [Token.GreaterThan, ">"],
  [Token.GreaterThan_Equals, ">="],
  [Token.LessThan_LessThan, "<<"],
  [Token.GreaterThan_GreaterThan, ">>"],
  [Token.Ampersand, "&"],
  [Token.Ampersand_Ampersand, "&&"],
  [Token.Bar_Bar, "||"],
  [Token.Tilde, "~"],
  [Token.Exclamation, "!"],
  [Token.Plus_Plus, "++"],
]);

/** Whether two loops are one over full vectors and one over what remains. */
export function isPair(first: Tree, second: Tree): boolean {
  if (first.kind !== NodeKind.For || second.kind !== NodeKind.For || second.initializer !== null) return false;
  const step = (loop: Tree) => (loop.incrementor === null ? "" : textOf(loop.incrementor).replace(/\s+/g, ""));
  const body = (loop: Tree) => textOf(loop.body).replace(/\s+/g, " ");
  return (
    step(first).endsWith("+=16") &&
    step(second).endsWith("+=4") &&
    body(first).replaceAll("true", "false") === body(second)
  );
}

/** Whether a loop visits the lanes of a pack, as many at a time as a vector has. */
export function isOverPack(condition: Tree, incrementor: Tree | null): boolean {
  return incrementor !== null && textOf(incrementor).endsWith("+= 16") && textOf(condition).endsWith("< PACK");
}

export function typeOf(type: Tree): string {
  const name = type.name.identifier.text;
  // C would take a float literal for less exact than AssemblyScript does beside a double.
  if (!(name in C_TYPES) || name === "f64") throw new Untranslatable(`the type ${name}`);
  return C_TYPES[name];
}

export const textOf = ({ range }: Tree): string => range.source.text.slice(range.start, range.end);

export const isFloat = (tree: Tree): boolean => tree.kind === NodeKind.Literal && tree.literalKind === 0;

export function literal(tree: Tree): string {
  const text = textOf(tree);
  if (!isFloat(tree)) return text;
  return `(float)${text}`;
}

export function operator(tree: Tree): string {
  const text = OPERATORS.get(tree.operator);
  if (text === undefined) throw new Untranslatable(`the operator of ${textOf(tree).slice(0, 20)}`);
  return text;
}

/** A number of a table as 32 bits. */
export function bits(type: string, value: number): string {
  const view = new DataView(new ArrayBuffer(4));
  if (type === "f32") view.setFloat32(0, value);
  else view.setUint32(0, value);
  return `0x${view.getUint32(0).toString(16).padStart(8, "0")}u`;
}

/** A declaration's flags, of which AssemblyScript does not export the names: 8 is `const`. */
export const isConstant = (tree: Tree): boolean => (tree.flags & 8) !== 0;
