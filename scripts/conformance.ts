// Compares the engine with reference numbers: `npm run --silent conformance -- DIR` runs every
// golden case under DIR and prints one JSON document. Exits 1 if a case failed.
import { conformance } from "../test/conformance/conformance.ts";

try {
  const [directory] = process.argv.slice(2);
  if (directory === undefined) throw new Error("usage: npm run --silent conformance -- DIRECTORY");
  const result = conformance(directory);
  console.log(JSON.stringify(result, null, 2));
  if (result.failures.length > 0) process.exitCode = 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
