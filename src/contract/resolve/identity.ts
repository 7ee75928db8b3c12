/**
 * The identity of a spec. Two jobs with the same `spec_sha256`, the same dataset (its bytes and how
 * they are read) and the same arithmetic version have results of the same bytes.
 *
 * `spec_sha256` is the SHA-256 of the resolved spec as JSON with sorted keys, without everything
 * that cannot change a number:
 *
 * - names, metadata, webhook, resources, and when checkpoints are written;
 * - detectors that are ignored or only warn, and what is observed, unless a detector acts on it;
 * - where inherited encoders and initial weights come from: their own hashes are part of the spec;
 * - every option that is null, false or an empty list, and options at their value in `NEUTRAL`.
 *
 * The last rule is for options that later versions add. A new option whose default changes no
 * numbers must not change the hash of specs without it. So give it a default of null, false or an
 * empty list, or add its default to `NEUTRAL`. A default that does change numbers is part of the
 * hash.
 */
import { createHash } from "node:crypto";
import { canonicalJson, isTable } from "./canonical.ts";
import type { ResolvedSpec } from "../schema/spec.ts";

/**
 * Options by their path (without the places in arrays), and the value at which they change no
 * numbers.
 */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  "schedule.warmup_steps": 0,
  "training.seeds": 1,
  "training.gradient_accumulation_steps": 1,
  "parameter_groups.lr_scale": 1,
  "parameter_groups.statistics": "train",
  "data.columns": {},
  "data.min_rows": 2,
  "data.preprocess.missing_target": "error",
  "data.preprocess.tensor": "auto",
};

/** Options that say where something comes from. What it is, another option has the hash of. */
const ORIGINS = new Set([
  "data.encoders",
  "data.unseen",
  ...["weights", "job", "step", "map", "strict"].map((name) => `init.${name}`),
]);

/** Its members are values of columns, so `false` counts too. */
const VALUES = "data.where";

const WITHOUT_EFFECT = ["name", "metadata", "webhook", "resources", "checkpoint"];
const ACTING = ["stop", "rewind"];

export function hashSpec(spec: ResolvedSpec): string {
  return createHash("sha256")
    .update(canonicalJson(withoutNeutral(numbersOf(spec))))
    .digest("hex");
}

/**
 * A spec without the options that change no numbers, such as those that an earlier version did not
 * have.
 */
export function withoutNeutral<T extends object>(spec: T): T {
  return relevantPart(spec, "") as T;
}

/** The parts of a spec that can change numbers. */
function numbersOf({ detectors, observe, ...spec }: ResolvedSpec): object {
  const parts = Object.entries(spec).filter(([name]) => !WITHOUT_EFFECT.includes(name));
  const acting = Object.entries(detectors).filter(([, { policy }]) => ACTING.includes(policy));
  const diagnosis = acting.length === 0 ? null : { detectors: Object.fromEntries(acting), observe };
  return { ...Object.fromEntries(parts), diagnosis };
}

function relevantPart(value: unknown, path: string): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (isTable(value) || path === VALUES) return value;
  if (Array.isArray(value)) return value.map((item) => relevantPart(item, path));
  const members = Object.entries(value).filter(([name, member]) => !isNeutral(member, below(path, name)));
  return Object.fromEntries(members.map(([name, member]) => [name, relevantPart(member, below(path, name))]));
}

function isNeutral(value: unknown, path: string): boolean {
  if (value === null || value === undefined || value === false || ORIGINS.has(path)) return true;
  if (Array.isArray(value) && value.length === 0) return true;
  return Object.hasOwn(NEUTRAL, path) && canonicalJson(NEUTRAL[path]) === canonicalJson(value);
}

function below(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
