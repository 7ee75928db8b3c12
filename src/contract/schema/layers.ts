/**
 * The layers of a model: the engine's, and the containers, which hold layers themselves.
 */
import { z } from "zod";
import { layers } from "../../engine/layers/registry.generated.ts";
import { BRANCHES, containers, type Container } from "../../engine/plan/containers.ts";
import type { Member } from "../../engine/settings.ts";
import { branchesOf, described, discriminated, optionSchemas, pascalCase } from "./members.ts";

/** The layers that a spec can name. */
export const specLayers = Object.fromEntries(Object.entries(layers).filter(([, { internal }]) => !internal));

export type LayerSpec = Member & { name: string | null };

const MAX_LAYERS = 256;
const MAX_INPUTS = 16;

const common = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, _ or -")
    .nullable()
    .default(null)
    .describe("Its part of the names of its parameters; null: its index, as in `nn.Sequential`."),
  inputs: z
    .array(z.string().min(1).max(1024))
    .min(1)
    .max(MAX_INPUTS)
    .nullable()
    .default(null)
    .describe("Names of earlier layers, or of inputs of the data, whose outputs it takes; null: the layer before."),
};

/** The layers of a list, of which some may be containers with lists of their own. */
const layerList = () => z.array(z.lazy((): z.ZodType<LayerSpec> => Layer)).max(MAX_LAYERS);

const Layer: z.ZodType<LayerSpec> = discriminated("type", [
  ...branchesOf(specLayers, common, "Layer"),
  ...Object.values(containers).map(containerSchema),
]).meta({ id: "Layer" }) as z.ZodType<LayerSpec>;

function containerSchema(container: Container): z.ZodType {
  const { type, options, lists, branches = false } = container;
  const held = Object.entries(lists).map(([name, { required, doc }]) => {
    const list = required ? layerList().min(1) : layerList().default([]);
    return [name, list.describe(doc)];
  });
  const beside = z.array(layerList()).max(MAX_INPUTS).default([]).describe(BRANCHES);
  return z
    .strictObject({
      type: z.literal(type),
      ...optionSchemas(options),
      ...Object.fromEntries(held),
      ...(branches ? { branches: beside } : {}),
      ...common,
    })
    .meta(described(`${pascalCase(type)}Layer`, container));
}

export const Model = z
  .strictObject({ layers: layerList().min(1) })
  .meta({ id: "ModelSpec", description: "Layers, one after the other." });
