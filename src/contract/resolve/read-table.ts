/** Checks the `data` of a spec against its table. */
import { checkData, viewedTable } from "../../data/encode/check.ts";
import { explicitFeatures, type DataSizes, type Inherited } from "../../data/encode/encoding.ts";
import { featuresOf, isLanguage } from "../../data/encode/features.ts";
import { outsideOf } from "../../data/encode/inherit.ts";
import { beforeChoice } from "../../data/encode/where.ts";
import { dataWarnings } from "../../data/encode/warn.ts";
import { losses } from "../../engine/losses/registry.generated.ts";
import { targetsOf } from "../../engine/losses/targets.ts";
import { takenBy } from "../../engine/plan/taken.ts";
import type { ResolvedSpec, Spec } from "../schema/spec.ts";
import type { Column } from "../wire/dataset.ts";
import {
  encodersSha256,
  foreignFaults,
  foreignWarnings,
  toldOf,
  unknownFaults,
  type EncodersTold,
  type Inheritance,
} from "./encoders.ts";
import type { Fault } from "./faults.ts";
import type { Input } from "./tables.ts";
import type { Reading } from "../../data/reading.ts";
import type { Warning } from "./warnings.ts";

/** What is known of data without faults. */
export interface Table {
  readonly data: ResolvedSpec["data"];
  readonly rows: number;
  readonly columns: readonly Column[];
  readonly features: readonly string[];
  readonly reading: Reading;
  readonly sizes: DataSizes;
  /** Null if the target is a value. */
  readonly classes: readonly string[] | null;
  readonly warnings: readonly Warning[];
  /** The encoders that the job takes over from another; null: it fits its own. */
  readonly inherited: Inherited | null;
  /** What is told of them when the job is created. */
  readonly told: EncodersTold | null;
}

/** Weights of classes come from one place. */
function balanceFaults({ class_weight: balance }: Spec["data"], loss: Spec["loss"]): Fault[] {
  if (balance === null) return [];
  const pointer = "/data/class_weight";
  const { targets, options } = losses[loss.type];
  // Under a loss over yes and no, `weight` is for outputs.
  const option = targets === "probability" ? "pos_weight" : "weight";
  if (targets === "class" && !Object.hasOwn(options, option))
    return [{ pointer, message: `is for a loss with weights of classes, such as cross_entropy, and not ${loss.type}` }];
  const isDouble = (targets === "class" || targets === "probability") && (loss[option] ?? null) !== null;
  return isDouble ? [{ pointer, message: `and /loss/${option} both weigh the classes: leave one out` }] : [];
}

/** Images are mirrored and shifted, and noise is added to numbers. */
function augmentFaults(augment: Spec["data"]["augment"], { shape, type }: DataSizes["inputs"][number]): Fault[] {
  if (augment === null) return [];
  const isMoved = augment.random_horizontal_flip !== null || augment.random_crop !== null;
  if (type === "int32")
    return [{ pointer: "/data/augment", message: "is for numbers, and the model takes whole numbers as they are" }];
  if (!isMoved || shape.length === 3) return [];
  const pointer = augment.random_crop === null ? "/data/augment/random_horizontal_flip" : "/data/augment/random_crop";
  const message = `is for images of the shape [channels, height, width], and a sample has [${shape.join(", ")}]; /data/shape can give it one`;
  return [{ pointer, message }];
}

/** Checks `data` against its table; null if there are faults. */
export async function readTable(
  { data: given, loss, model }: Partial<Spec>,
  input: Input,
  inheritance: Inheritance | null,
  faults: Fault[],
): Promise<Table | null> {
  if (!given || !loss) return null;
  const data = inheritance?.data ?? given;
  const inherited = inheritance?.inherited ?? null;
  const targets = targetsOf(loss);
  const before = faults.length;
  faults.push(...balanceFaults(data, loss));
  const { table, faults: viewFaults } = viewedTable(input.content, data);
  const foreign = viewFaults.length === 0 && inherited ? foreignFaults(table, { ...inheritance!, inherited }) : [];
  const found =
    viewFaults.length > 0 ? viewFaults : [...foreign, ...checkData(beforeChoice(table, data), data, targets)];
  for (const fault of found) faults.push(fault);
  if (faults.length > before) return null;
  const { rows, columns, reading } = table;
  const features = featuresOf(table, data);
  const filled = {
    ...data,
    features: inherited ? data.features : (explicitFeatures(features) ?? data.features),
    text: data.text && { ...data.text, stride: data.text.stride ?? (isLanguage(data) ? data.text.context : null) },
    encoders: inheritance ? data.encoders : ("refit" as const),
    encoders_sha256: inherited && encodersSha256(inherited),
  };
  const takes = model ? takenBy(model.layers) : "float32";
  const measured = await input.measure(filled, targets, takes, inherited);
  if ("faults" in measured) {
    for (const fault of measured.faults) faults.push(fault);
    return null;
  }
  const { sizes } = measured;
  faults.push(...augmentFaults(data.augment, sizes.inputs[0]));
  if (inherited) faults.push(...unknownFaults(sizes.unknown, inheritance!));
  if (faults.length > before) return null;
  const column = columns.find(({ name }) => name === data.target);
  const classes = targets === "class" ? (sizes.tokens ?? inherited?.target?.classes ?? column!.classes) : null;
  const outside = inherited && outsideOf(table, inherited);
  const told = outside && inheritance!.job !== null ? toldOf(inheritance!.job, outside) : null;
  const warnings = dataWarnings(table, data, sizes);
  if (outside) for (const warning of foreignWarnings(inheritance!.job, outside)) warnings.push(warning);
  return { data: filled, rows, columns, reading, features, sizes, classes, warnings, inherited, told };
}
