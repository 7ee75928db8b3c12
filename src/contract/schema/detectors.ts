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
  doc: "`warn`: an event `diagnosed`. `stop`: also end the job. `ignore`: do not look.",
} as const;

const ruinousPolicy = {
  ...policy,
  choices: [...POLICIES, "rewind"],
  doc: `${policy.doc} \`rewind\`: go back to before it showed, and on from there at a lower rate.`,
} as const;

const rewindOptions = {
  every_steps: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "Training goes back to a multiple of this; null: a hundredth of all steps.",
  },
  window: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "At least so many steps back; null: twice as many as it takes to see a divergence.",
  },
  lr_factor: {
    kind: "number",
    default: 0.5,
    above: 0,
    below: 1,
    doc: "What the rate is multiplied with from there on.",
  },
  max: { kind: "integer", default: 3, min: 1, max: 100, doc: "How often; after that the job fails." },
} as const satisfies Options;

/** What a detector has beside its thresholds. */
export function policyOptions({ ruinous }: DetectorType): Options {
  if (!ruinous) return { policy };
  const parts = Object.entries(rewindOptions).map(([name, option]) => [`rewind.${name}`, option]);
  return { policy: ruinousPolicy, ...Object.fromEntries(parts) };
}

const Rewind = z
  .strictObject(optionSchemas(rewindOptions))
  .describe("How to rewind: a null is filled in. Null unless the policy is `rewind`.");

function schemaOf(declared: DetectorType): z.ZodType {
  return declared.ruinous ? ruinousSchema(declared.options) : plainSchema(declared.options);
}

function ruinousSchema(options: Options): z.ZodType {
  const shape = { ...optionSchemas({ policy: ruinousPolicy, ...options }), rewind: Rewind.nullable().default(null) };
  return z.strictObject(shape).refine((value) => value.policy === "rewind" || value.rewind === null, {
    path: ["rewind"],
    error: 'goes with the policy "rewind" alone; leave it out, or set that',
  });
}

const rewindable = declarations.flatMap(({ type, ruinous }) => (ruinous ? [type] : [])).join(" and ");

function plainSchema(options: Options): z.ZodType {
  const schemas = optionSchemas({ policy, ...options });
  const chosen = z
    .enum(POLICIES, {
      error: ({ input }) => {
        const known = POLICIES.map((name) => `"${name}"`).join(", ");
        return input === "rewind" ? `must be one of ${known}: "rewind" is for ${rewindable} alone` : undefined;
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
          ? explainKeys(issue.keys, (key) => (key === "rewind" ? `is for ${rewindable} alone` : unknownKey(key, known)))
          : undefined,
    },
  );
}

// The thresholds are built at run time, so what they have in common is all that the type can say.
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
  .meta({ id: "DetectorsSpec", description: "What to look out for while the job trains, and what to do about it." });

/** Fills in the steps of a rewind, if the policy is to rewind. */
export function withRewind(settings: DetectorSettings, totalSteps: number): DetectorSettings {
  const { diverging } = settings;
  if (diverging.policy !== "rewind") return settings;
  const spotting = (diverging.patience as number) * windowSteps(totalSteps);
  const filled = rewindDefaults(totalSteps, spotting);
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
