/** The program of a helper thread for sets of models. */
import { serve } from "../data/serve.ts";
import { listEnded, listIndexed } from "./list.ts";
import { summarize } from "./summary.ts";

const tasks = { summarize, listIndexed, listEnded };
export type Tasks = typeof tasks;

serve(tasks);
