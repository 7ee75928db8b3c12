/** The program of a helper thread for sets of models. */
import { serve } from "../data/serve.ts";
import { firstModel } from "./first-model.ts";
import { listEnded, listIndexed } from "./list.ts";
import { summarize } from "./summary.ts";

const tasks = { summarize, listIndexed, listEnded, firstModel };
export type Tasks = typeof tasks;

serve(tasks);
