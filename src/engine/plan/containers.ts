import type { Description, Options } from "../member/options.ts";
import type { Member } from "../settings.ts";

/*
 * The containers of a spec's model: they hold layers and compute nothing themselves. The graph
 * (graph.ts) expands them, and nothing after it knows them.
 */

/** What a container says of itself; `lists` are the fields that hold layers. */
export interface Container extends Description {
  readonly lists: Readonly<Record<string, { readonly required: boolean; readonly doc: string }>>;
  /** A list of lists of layers, side by side. */
  readonly branches?: boolean;
}

/** What the branches of a container are. */
export const BRANCHES = "Lists of layers, each from the input on; an empty one passes it on.";

const layers = { layers: { required: true, doc: "The layers, one after another." } } as const;

const dim = {
  kind: "integer",
  default: 0,
  doc: "The dimension of a sample along which they are joined; 0 is the channels of an image, −1 the last one.",
} as const satisfies Options[string];

export const containers = {
  sequential: {
    type: "sequential",
    summary: "Layers one after another, as one.",
    formula: "y = fₙ(… f₁(x))",
    source: "torch.nn.Sequential",
    options: {},
    lists: layers,
  },
  residual: {
    type: "residual",
    summary: "Adds its input, or what `shortcut` makes of it, to what its layers make of the input.",
    formula: "y = f(x) + shortcut(x)",
    source: "He et al., “Deep residual learning for image recognition”, CVPR 2016 (arXiv:1512.03385)",
    options: {},
    lists: { ...layers, shortcut: { required: false, doc: "Layers for the shortcut; none: the input itself." } },
  },
  repeat: {
    type: "repeat",
    summary: "The same layers again and again, each round with parameters of its own.",
    formula: "y = f_times(… f₁(x))",
    source: "torch.nn.Sequential of torch.nn.Sequential",
    options: { times: { kind: "integer", min: 1, max: 1000, doc: "How many rounds." } },
    lists: layers,
  },
  add: {
    type: "add",
    summary: "The sum of what its branches make of the input, or of its `inputs`.",
    formula: "y = Σ branchᵢ(x)",
    source: "torch.add",
    options: {},
    lists: {},
    branches: true,
  },
  concat: {
    type: "concat",
    summary: "What its branches make of the input, or its `inputs`, one behind the other.",
    formula: "y = [branch₁(x), …]",
    source: "torch.cat",
    options: { dim },
    lists: {},
    branches: true,
  },
} as const satisfies Record<string, Container>;

export type ContainerType = keyof typeof containers;

export function isContainer(type: string): type is ContainerType {
  return Object.hasOwn(containers, type);
}

/** Whether a container joins its own inputs, since it has no branches. */
export function joinsInputs(member: Member): boolean {
  const { branches = [] } = member as { branches?: readonly unknown[] };
  return (member.type === "add" || member.type === "concat") && branches.length === 0;
}

/** All layers of a model that are no containers, from the first to the last. */
export function leavesOf(members: readonly Member[]): Member[] {
  return members.flatMap((member) =>
    isContainer(member.type) ? listsOf(member).flatMap(([, list]) => leavesOf(list)) : [member],
  );
}

/**
 * The lists of layers in a container, by their place in it: `layers` or `branches/0`. None of a
 * layer.
 */
export function listsOf(member: Member): [place: string, list: readonly Member[]][] {
  if (!isContainer(member.type)) return [];
  const { lists } = containers[member.type];
  const branches = (member.branches ?? []) as readonly (readonly Member[])[];
  return [
    ...Object.keys(lists).map((list): [string, readonly Member[]] => [list, (member[list] ?? []) as readonly Member[]]),
    ...branches.map((branch, i): [string, readonly Member[]] => [`branches/${i}`, branch]),
  ];
}
