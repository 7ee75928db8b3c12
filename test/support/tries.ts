/** The values that the tests of every member try, besides the defaults of its options. */
import { isOptimizer } from "../../src/engine/optimizers/configure.ts";
import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import { withDefaults, type Option, type Options } from "../../src/engine/member/options.ts";
import type { Member } from "../../src/engine/settings.ts";

export function tries(option: Option): readonly unknown[] {
  if (option.tries !== undefined && isOptimizer(option)) return (option.tries as Member[]).map(whole);
  if (option.tries !== undefined) return option.tries;
  switch (option.kind) {
    case "boolean":
      return [!option.default];
    case "choice":
      return option.choices.filter((choice) => choice !== option.default);
    case "numbers":
      return option.default ? [option.default.map((number) => number * 0.7)] : [];
    case "integer":
    case "sizes":
    case "column_sizes":
      return [3];
    // A parameter can only be named where there is one.
    case "parameter":
      return [];
    default:
      return [0.3];
  }
}

function whole(given: Member): Member {
  return withDefaults(optimizers[given.type], given);
}

/** The defaults, each other value by itself, and the first of all of them together. */
export function settingsOf(declared: { readonly type: string; readonly options: Options }): Member[] {
  const options = Object.entries(declared.options);
  const single = options.flatMap(([name, option]) => tries(option).map((value) => ({ [name]: value })));
  const tried = options.filter(([, option]) => tries(option).length > 0);
  const together = Object.fromEntries(tried.map(([name, option]) => [name, tries(option)[0]]));
  const changes = options.length > 1 ? [{}, ...single, together] : [{}, ...single];
  return changes.map((change) => withDefaults(declared, change));
}
