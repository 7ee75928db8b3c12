import { z } from "zod";
import {
  catalogue as members,
  DetectorEntry,
  DetectorList,
  LayerEntry,
  LayerList,
  LossEntry,
  LossList,
  OptimizerEntry,
  OptimizerList,
  ScheduleEntry,
  ScheduleList,
} from "../../contract/catalogue.ts";
import { didYouMean } from "../../contract/resolve/faults.ts";
import { page } from "../../store/pages.ts";
import { notFound } from "../plugins/problems.ts";
import { queryInteger } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";

const kinds = [
  { kind: "optimizers", noun: "optimizer", Entry: OptimizerEntry, List: OptimizerList },
  { kind: "layers", noun: "layer", Entry: LayerEntry, List: LayerList },
  { kind: "losses", noun: "loss", Entry: LossEntry, List: LossList },
  { kind: "schedules", noun: "schedule", Entry: ScheduleEntry, List: ScheduleList },
  { kind: "detectors", noun: "detector", Entry: DetectorEntry, List: DetectorList },
] as const;

const query = z.strictObject({
  limit: queryInteger(z.int().min(1).max(100).default(100)).describe("How many to give at most."),
  after: z.string().optional().describe("The `next` of the page before."),
});

export const catalogue: Routes = async (app) => {
  for (const { kind, noun, Entry, List } of kinds) {
    const entries = members[kind];
    const types = entries.map(({ type }) => type);

    app.get(
      `/v1/${kind}`,
      {
        schema: {
          tags: ["catalogue"],
          operationId: `list${capitalized(kind)}`,
          summary: `List the ${kind} there are, by name`,
          querystring: query,
          response: {
            200: json(List, "A page, which has all of them unless `limit` is given."),
            ...problems(),
          },
        },
      },
      async ({ query: { limit, after } }) => {
        const following = entries.filter(({ type }) => after === undefined || type > after);
        return page<(typeof entries)[number]>(following.slice(0, limit + 1), limit, ({ type }) => type);
      },
    );

    app.get(
      `/v1/${kind}/:type`,
      {
        schema: {
          tags: ["catalogue"],
          operationId: `get${capitalized(noun)}`,
          summary: `Read what there is to know of one of the ${kind}`,
          params: z.object({ type: z.string() }),
          response: { 200: json(Entry, `The ${noun}.`), ...problems("not_found") },
        },
      },
      async ({ params: { type } }) => {
        const entry = entries.find((candidate) => candidate.type === type);
        if (entry) return entry;
        const near = didYouMean(type, types) || ".";
        throw notFound(`There is no ${noun} ${JSON.stringify(type)}${near} Known: ${types.join(", ")}.`);
      },
    );
  }
};

function capitalized(word: string): string {
  return word[0].toUpperCase() + word.slice(1);
}
