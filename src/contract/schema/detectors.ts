/**
 * The `detectors` part of a spec, from the engine's declarations: thresholds and a policy for each.
 */
import { z } from "zod";
import { windowSteps } from "../../engine/watch/diagnosis.ts";
import type { DetectorType } from "../../engine/detectors/detector.ts";
import { detectors } from "../../engine/detectors/registry.generated.ts";
import type { Options } from "../../engine/member/options.ts";
import { rewindDefaults } from "../../engine/watch/rewind.ts";
import { explainKeys, unknownKey } from "../resolve/faults.ts";
import { optionSchemas } from "./members.ts";
import { POLICIES, type DetectorSettings } from "../../engine/settings.ts";

const declarations = Object.values(detectors);

const policy = {
  kind: "choice",
  choices: POLICIES,
  default: "warn",
  doc: "`warn` writes an event `diagnosed`. `stop` also ends the job. `ignore` turns the detector off.",
} as const;

const ruinousPolicy = {
  ...policy,
  choices: [...POLICIES, "rewind"],
  doc: `${policy.doc} \`rewind\` takes training back to a step before the fault, and goes on from there at a lower rate.`,
} as const;

const rewindOptions = {
  every_steps: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "Training goes back to a step that is a multiple of this; null: a hundredth of all steps.",
  },
  window: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "Training goes back at least this many steps; null: twice as many as it takes to see a divergence.",
  },
  lr_factor: {
    kind: "number",
    default: 0.5,
    above: 0,
    below: 1,
    doc: "Factor of the learning rate from that step on.",
  },
  max: { kind: "integer", default: 3, min: 1, max: 100, doc: "Most rewinds; after that the job fails." },
} as const satisfies Options;

/** The options of a detector besides its thresholds. */
export function policyOptions({ ruinous }: DetectorType): Options {
  if (!ruinous) return { policy };
  const parts = Object.entries(rewindOptions).map(([name, option]) => [`rewind.${name}`, option]);
  return { policy: ruinousPolicy, ...Object.fromEntries(parts) };
}

const Rewind = z
  .strictObject(optionSchemas(rewindOptions))
  .describe("How to rewind; nulls within are filled in. Null unless the policy is `rewind`.");

function schemaOf(declared: DetectorType): z.ZodType {
  return declared.ruinous ? ruinousSchema(declared.options) : plainSchema(declared.options);
}

function ruinousSchema(options: Options): z.ZodType {
  const shape = { ...optionSchemas({ policy: ruinousPolicy, ...options }), rewind: Rewind.nullable().default(null) };
  return z.strictObject(shape).refine((value) => value.policy === "rewind" || value.rewind === null, {
    path: ["rewind"],
    error: 'needs the policy "rewind": set that, or leave this out',
  });
}

const rewindable = declarations.flatMap(({ type, ruinous }) => (ruinous ? [type] : [])).join(" and ");

function plainSchema(options: Options): z.ZodType {
  const schemas = optionSchemas({ policy, ...options });
  const chosen = z
    .enum(POLICIES, {
      error: ({ input }) => {
        const known = POLICIES.map((name) => `"${name}"`).join(", ");
        return input === "rewind" ? `must be one of ${known}; only ${rewindable} can have "rewind"` : undefined;
      },
    })
    .default("warn")
    .describe(policy.doc);
  const known = Object.keys(schemas);
  return z.strictObject(
    { ...schemas, policy: chosen },
    {
      error: (issue) =>
        issue.code === "unrecognized_keys"
          ? explainKeys(issue.keys, (key) => (key === "rewind" ? `is only for ${rewindable}` : unknownKey(key, known)))
          : undefined,
    },
  );
}

// The thresholds are built at run time, so the type has only what they have in common.
export const Detectors = (
  z.strictObject(
    Object.fromEntries(
      declarations.map((declared) => {
        const { type, summary, formula, source } = declared;
        return [type, schemaOf(declared).prefault({}).describe(`${summary}\n\n${formula}\n\n${source}`)];
      }),
    ),
  ) as unknown as z.ZodType<DetectorSettings, Readonly<Record<string, object>>>
)
  .prefault({})
  .meta({
    id: "DetectorsSpec",
    description: "The faults to look for while the job trains, and what to do about them.",
  });

/** Fills in the steps of a rewind, if the policy is to rewind. */
export function withRewind(settings: DetectorSettings, totalSteps: number): DetectorSettings {
  const { diverging } = settings;
  if (diverging.policy !== "rewind") return settings;
  const detectionSteps = (diverging.patience as number) * windowSteps(totalSteps);
  const filled = rewindDefaults(totalSteps, detectionSteps);
  const { every_steps, window, ...rest } = (diverging.rewind as z.output<typeof Rewind> | null) ?? Rewind.parse({});
  const rewind = { every_steps: every_steps ?? filled.every_steps, window: window ?? filled.window, ...rest };
  return { ...settings, diverging: { ...diverging, rewind } };
}

/** Removes the steps of a rewind if they are those that would be computed for `totalSteps`. */
export function withoutRewind(settings: DetectorSettings, totalSteps: number): DetectorSettings {
  const { diverging } = settings;
  if (diverging.policy !== "rewind") return settings;
  const open = (rewind: object | null) => ({ ...settings, diverging: { ...diverging, rewind } });
  const filled = withRewind(open(null), totalSteps).diverging.rewind as Record<string, unknown>;
  const chosen = Object.entries(diverging.rewind as object).filter(([name, value]) => value !== filled[name]);
  return open(chosen.length === 0 ? null : Rewind.parse(Object.fromEntries(chosen)));
}
