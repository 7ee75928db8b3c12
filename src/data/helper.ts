/** The program of a helper thread for datasets. */
import { collectNow, LARGE_BYTES } from "../engine/crew/garbage.ts";
import { curveOf } from "../engine/schedules/curve.ts";
import { dataBytes } from "../engine/training.ts";
import { batchOrder } from "./encode/batch-order.ts";
import { encodeFile, fitFile, measureFile } from "./encode/encode.ts";
import type { TablePath } from "./beside.ts";
import type { DataSpec, Encoded } from "./encode/encoding.ts";
import { keySizes } from "./encode/key-sizes.ts";
import { partitionTable } from "./encode/partitioned-table.ts";
import { fitShared } from "./encode/shared.ts";
import { checkColumns } from "./files/column-file.ts";
import { ingest } from "./ingest.ts";
import { previewFile } from "./preview.ts";
import { serve, type Reply, type Request } from "./serve.ts";
import { describeWeights, takeWeights } from "./weights.ts";
import { writeSource } from "./source.ts";

const tasks = {
  ingest,
  previewFile,
  checkColumns,
  writeSource,
  encodeFile,
  fitFile,
  measureFile,
  keySizes,
  fitShared,
  partitionTable: ({ table, data }: { table: TablePath; data: DataSpec }) => partitionTable(table, data),
  batchOrder,
  describeWeights,
  takeWeights,
  curveOf,
};
export type Tasks = typeof tasks;

serve(tasks, (request, reply) => {
  if (isLarge(request, reply)) setImmediate(collectNow);
});

/**
 * Whether the reply is a table on shared memory. This thread must not keep garbage of it
 * (engine/crew/garbage.ts).
 */
function isLarge({ task }: Request, reply: Reply): boolean {
  return task === "encodeFile" && "result" in reply && dataBytes((reply.result as Encoded).data) >= LARGE_BYTES;
}
