// The optimizers' references: what their kernels are held to.
import { globSync } from "node:fs";
import { configure, isOptimizer } from "../../src/engine/optimizers/configure.ts";
import type { Reference, ReferenceTensor } from "../../src/engine/optimizers/reference.ts";
import type { Member } from "../../src/engine/settings.ts";
import { size } from "../../src/engine/member/shape.ts";
import { Bench } from "./kernels.ts";
import type { Parameter } from "./optimizing.ts";

const folder = new URL("../../src/engine/optimizers/", import.meta.url);
const modules = globSync("*/reference.ts", { cwd: folder }).map((file) => import(new URL(file, folder).href));
const references = Object.assign({}, ...(await Promise.all(modules))) as Record<string, Reference<unknown> | undefined>;

/**
 * The reference of a member with its options under the default dialect's names, and those among
 * them that are optimizers likewise.
 */
export function referenceOf(member: Member): (tensors: readonly ReferenceTensor[], t: number, lr: number) => void {
  const { type } = configure(member);
  const key = type.dialect === undefined ? type.type : `${type.dialect}_${type.type}`;
  const inner = Object.entries(type.options)
    .filter(([, option]) => isOptimizer(option))
    .map(([name]) => {
      const other = member[name] as Member;
      return [name, Object.assign(referenceOf(other), { rate: configure(other).rate })];
    });
  const given = { ...member, ...Object.fromEntries(inner) };
  const reference = references[key] ?? references[type.type]!;
  return (tensors, t, lr) => reference(type.translate?.(given) ?? given, tensors, t, lr);
}

export function referenceTensor(member: Member, { shape, values }: Parameter): ReferenceTensor {
  const configured = configure(member);
  const state = configured
    .state(shape)
    .map(({ name, initial, shape: own = shape }): [string, Float64Array] => [
      name,
      initial === "parameter" ? Float64Array.from(values) : new Float64Array(size(own)).fill(initial),
    ]);
  return {
    shape,
    weight: Float64Array.from(values),
    gradient: new Float64Array(values.length),
    state: Object.fromEntries(state),
    scalars: { ...configured.create(new Bench().kernels).scalars },
    evaluated: new Float64Array(values.length),
  };
}

/**
 * Reproducible numbers in ±[scale/4, scale], every eleventh of them zero. Gradients are kept well
 * above what weight decay adds to them: where the two cancel, an optimizer that divides by the
 * gradient's size makes a full step out of the rounding error.
 */
export function numbers(length: number, seed: number, scale: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => {
    const x = Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453;
    const unit = x - Math.floor(x);
    return i % 11 === 5 ? 0 : Math.sign(unit - 0.5) * scale * (0.25 + 0.75 * unit);
  });
}
