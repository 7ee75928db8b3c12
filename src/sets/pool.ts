import { poolOf } from "../data/pool.ts";
import type { Tasks } from "./helper.ts";

/** Runs a task of helper.ts. Its threads are others than those for datasets. */
export const runForSets = poolOf<Tasks>(new URL("./helper.ts", import.meta.url));
