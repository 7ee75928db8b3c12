/** What is kept of a model besides its weights. */
import type { Encoding } from "../data/encode/encoding.ts";
import type { Plan } from "../engine/plan/model.ts";
import type { ModelDescription } from "./wire/model.ts";

export type ModelNotes = Pick<ModelDescription, "layers" | "inputs" | "named_inputs" | "input" | "target" | "reading">;

export function layersOf({ nodes }: Plan): ModelNotes["layers"] {
  return nodes.map(({ path, member, shape }) => ({
    name: path,
    type: member.type,
    parameters: Object.fromEntries(shape.parameters.map((parameter) => [parameter.name, [...parameter.shape]])),
  }));
}

/** What a user of the weights needs to know besides them. */
export function notesOn(layers: ModelNotes["layers"], { inputs, target, reading }: Encoding): ModelNotes {
  const encoders = inputs.flatMap((input) => input.encoders);
  const { shape, type, categories } = inputs[0];
  return {
    layers,
    inputs: encoders as ModelNotes["inputs"],
    named_inputs: inputs.map(({ name, shape, type, categories, encoders }) => {
      return { name, shape, type, categories, encoders: encoders.length };
    }) as ModelNotes["named_inputs"],
    input: { shape, type, categories } as ModelNotes["input"],
    target: target as ModelNotes["target"],
    reading: reading as ModelNotes["reading"],
  };
}
