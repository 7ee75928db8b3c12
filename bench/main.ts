// npm run bench -- NAME…: benchmarks of the engine and of the api. The numbers are medians of
// interleaved rounds. The speed of a machine drifts, so compare only numbers from the same run.
import { benchApi } from "./api.ts";
import { benchCsv } from "./csv.ts";
import { benchJobs } from "./jobs.ts";
import { benchLayers } from "./layers.ts";
import { benchModels } from "./models.ts";
import { benchOptimizers } from "./optimizers.ts";
import { benchPredict } from "./predict.ts";
import { benchSoak } from "./soak.ts";
import { benchStalls } from "./stalls.ts";

const benches: Record<string, () => void | Promise<void>> = {
  api: benchApi,
  csv: benchCsv,
  jobs: benchJobs,
  layers: benchLayers,
  models: benchModels,
  optimizers: benchOptimizers,
  predict: benchPredict,
  soak: benchSoak,
  stalls: benchStalls,
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in benches));
if (names.length === 0 || unknown.length > 0) {
  console.error(`usage: npm run bench -- NAME…   (names: ${Object.keys(benches).join(", ")})`);
  process.exit(1);
}
for (const name of names) await benches[name]();
process.exit(0);
