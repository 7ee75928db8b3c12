// npm run bench -- NAME… [OPTION…]: benchmarks of the engine and of the api. The numbers are
// medians of interleaved rounds. The speed of a machine drifts, so compare only numbers from the
// same run.
import { parseArgs } from "node:util";
import { benchApi } from "./api.ts";
import { benchCompare } from "./compare.ts";
import { benchCsv } from "./csv.ts";
import { benchJobs } from "./jobs.ts";
import { benchKernels } from "./kernels.ts";
import { benchLayers } from "./layers.ts";
import { benchModels } from "./models.ts";
import { benchOptimizers } from "./optimizers.ts";
import { benchPacks } from "./packs.ts";
import { benchPredict } from "./predict.ts";
import { benchSets } from "./sets.ts";
import { benchSoak } from "./soak.ts";
import { benchStalls } from "./stalls.ts";
import { benchStudies } from "./studies.ts";

const options = {
  /** Of `soak`: how many jobs, and whether they stay in Redis. */
  jobs: { type: "string", default: "50000" },
  keep: { type: "boolean", default: false },
  /** Of `compare`: a Python that has PyTorch. */
  python: { type: "string" },
} as const;
const { values, positionals: names } = parseArgs({ options, allowPositionals: true });

const benches: Record<string, () => void | Promise<void>> = {
  api: benchApi,
  compare: () => benchCompare(values.python),
  csv: benchCsv,
  jobs: benchJobs,
  kernels: benchKernels,
  layers: benchLayers,
  models: benchModels,
  optimizers: benchOptimizers,
  packs: benchPacks,
  predict: benchPredict,
  sets: benchSets,
  soak: () => benchSoak({ jobs: Number(values.jobs), keep: values.keep }),
  stalls: benchStalls,
  studies: benchStudies,
};

const unknown = names.filter((name) => !(name in benches));
if (names.length === 0 || unknown.length > 0) {
  console.error(
    `usage: npm run bench -- NAME… [--jobs N] [--keep] [--python PATH]   (names: ${Object.keys(benches).join(", ")})`,
  );
  process.exit(1);
}
for (const name of names) await benches[name]();
process.exit(0);
