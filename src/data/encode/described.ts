/** The encoding of a model, from what is stored with the model. */
import type { ElementType, Shape } from "../../engine/member/shape.ts";
import type { FeatureForm } from "../../engine/plan/taken.ts";
import { widthOf } from "./apply.ts";
import type { Encoder, Encoding, TargetEncoding } from "./encoding.ts";
import type { Reading } from "../reading.ts";
import { encodedApart } from "./fit.ts";
import { FEATURES } from "./fit-tensor.ts";

/** The part of a model's description that is about the data. */
interface Described {
  readonly inputs: readonly Encoder[];
  /** Earlier versions did not store it: then the model takes a list of numbers. */
  readonly input?: {
    readonly shape: Shape;
    readonly type: ElementType;
    readonly categories?: number | readonly number[] | null;
  };
  readonly target: TargetEncoding;
  readonly reading?: Reading;
}

/** @param takes what the model takes of the features */
export function describedEncoding(
  { inputs: encoders, input, target, reading }: Described,
  takes: FeatureForm,
): Encoding {
  if (takes === "columns") return { inputs: encodedApart(encoders), target, reading };
  const { shape, type, categories } = input ?? { shape: [widthOf(encoders)], type: takes };
  return { inputs: [{ name: FEATURES, shape, type, categories, encoders }], target, reading };
}
