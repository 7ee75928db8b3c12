/*
 * Texts as what a model of language trains on: a whole text, or those in a column of a table. They
 * are split first, the text by its characters and a table by its rows, and then turned into tokens.
 * Each text of a side is cut into contexts: the input is `context` tokens, the target the tokens
 * that follow each of them. So no context crosses a split or goes beyond a row.
 *
 * The rows of the data are the tokens of all sides, one after the other. A sample is named by its
 * first token, and samples may overlap. The vocabulary is that of the training text, or another
 * job's; characters of the text that it lacks are left out.
 */
import type { NamedValue } from "../../engine/plan/graph.ts";
import { fitVocabulary, Tokenizer, type Vocabulary } from "../text/vocabulary.ts";
import type { DataFault } from "./check.ts";
import type { DataSizes, DataSpec, Encoded, Encoding, Inherited, TargetEncoding, TextRule } from "./encoding.ts";
import { featuresOf, NEXT_TOKEN, type TextSpec } from "./features.ts";
import { chosenCount, splitRows } from "./split.ts";
import { FEATURES } from "./fit-tensor.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** The texts of each side. Those of training come first, the test last. */
interface Sides {
  readonly train: readonly Uint8Array[];
  readonly valid: readonly Uint8Array[];
  readonly test: readonly Uint8Array[];
}

async function sidesOf(file: ViewedFile, data: DataSpec): Promise<Sides> {
  if (file.content.columns[0].type === "text") return await sidesOfText(file, data);
  const texts = await file.texts(columnOf(file, data));
  const { train, valid, test } = await splitRows(file, data);
  const of = (rows: Int32Array) => Array.from(rows, (row) => texts.at(row));
  return { train: of(train), valid: of(valid), test: of(test) };
}

function columnOf(file: ViewedFile, data: DataSpec): string {
  return featuresOf(file.content, data)[0];
}

async function sidesOfText(file: ViewedFile, { validation, test }: DataSpec): Promise<Sides> {
  const text = await file.text(0);
  const tested = chosenCount(file.rows, test)!;
  const valid = chosenCount(file.rows - tested, validation)!;
  const [endOfTraining, endOfValidation] = bytesBefore(text, [file.rows - tested - valid, file.rows - tested]);
  return {
    train: [text.subarray(0, endOfTraining)],
    valid: [text.subarray(endOfTraining, endOfValidation)],
    test: [text.subarray(endOfValidation)],
  };
}

/** Where characters begin whose numbers are ascending. */
function bytesBefore(text: Uint8Array, characters: readonly number[]): number[] {
  const places = characters.map(() => text.length);
  let character = 0;
  for (let at = 0; at <= text.length; at++) {
    // The other bytes of a character are continuations.
    if (at < text.length && (text[at] & 0xc0) === 0x80) continue;
    for (const [i, wanted] of characters.entries()) if (wanted === character) places[i] = at;
    character++;
  }
  return places;
}

/** @param train the texts that train */
export function vocabularyOf(train: Iterable<Uint8Array>, { text }: TextSpec, inherited: Inherited | null): Vocabulary {
  const encoder = inherited?.inputs[0].encoders[0];
  return encoder?.type === "text" ? encoder.vocabulary : fitVocabulary(text.vocabulary, train);
}

/** The samples of each side, and what is known of them without the tokens themselves. */
interface Cut {
  readonly tokens: number;
  readonly train: Int32Array;
  readonly valid: Int32Array;
  readonly test: Int32Array;
  /** Characters without a token, each once. */
  readonly unknown: readonly string[];
}

/** Calls `take` with every token. */
function cut(sides: Sides, tokenizer: Tokenizer, { text }: TextSpec, take: (token: number) => void = () => {}): Cut {
  const unknown = new Set<number>();
  let tokens = 0;
  const count = (token: number) => {
    tokens++;
    take(token);
  };
  const samplesOf = (side: readonly Uint8Array[]) => {
    const samples: number[] = [];
    for (const each of side) {
      const begin = tokens;
      tokenizer.encode(each, count, (point) => unknown.add(point));
      addStarts(samples, begin, tokens, text);
    }
    const rows = new Int32Array(new SharedArrayBuffer(4 * samples.length));
    rows.set(samples);
    return rows;
  };
  const [train, valid, test] = [sides.train, sides.valid, sides.test].map(samplesOf);
  return { tokens, train, valid, test, unknown: Array.from(unknown, (point) => String.fromCodePoint(point)) };
}

/** The last token of a sample has a next one too. */
function addStarts(samples: number[], begin: number, end: number, { context, stride }: TextRule): void {
  for (let start = begin; start + context < end; start += stride ?? context) samples.push(start);
}

function inputOf({ context }: TextRule, tokenizer: Tokenizer): NamedValue {
  return { name: FEATURES, shape: [context], type: "int32", categories: tokenizer.size };
}

export async function measureText(
  file: ViewedFile,
  data: TextSpec,
  inherited: Inherited | null,
): Promise<{ readonly sizes: DataSizes } | { readonly faults: DataFault[] }> {
  const sides = await sidesOf(file, data);
  const tokenizer = new Tokenizer(vocabularyOf(sides.train, data, inherited));
  const { tokens, train, valid, test, unknown } = cut(sides, tokenizer, data);
  const faults = contextFaults(data, { train: train.length, valid: valid.length, test: test.length });
  if (faults.length > 0) return { faults };
  const { context } = data.text;
  const facts = { vary: true, between: false };
  return {
    sizes: {
      train: train.length,
      valid: valid.length,
      test: test.length,
      width: context,
      inputs: [inputOf(data.text, tokenizer)],
      targetShape: [context],
      tokens: tokenizer.names,
      encodedBytes: 4 * tokens,
      untrained: [],
      empty: [],
      unknown,
      trained: facts,
      validated: facts,
    },
  };
}

/** A side that is wanted must hold a sample. */
function contextFaults(
  { text, validation, test }: TextSpec,
  samples: Record<"train" | "valid" | "test", number>,
): DataFault[] {
  const wanted = [
    ["train", "/data/text/context", true],
    ["valid", "/data/validation", validation !== null],
    ["test", "/data/test", test !== null],
  ] as const;
  const names = { train: "training", valid: "validation", test: "the test" };
  return wanted
    .filter(([side, , isWanted]) => isWanted && samples[side] === 0)
    .map(([side, pointer]) => ({
      pointer,
      message: `leaves no text of ${text.context + 1} tokens for ${names[side]}: a context and the token after it`,
    }));
}

export async function fitText(file: ViewedFile, data: TextSpec, inherited: Inherited | null): Promise<Encoding> {
  const { train } = await sidesOf(file, data);
  return encodingOf(data, columnOf(file, data), vocabularyOf(train, data, inherited));
}

function encodingOf({ text }: TextSpec, column: string, vocabulary: Vocabulary): Encoding {
  const tokenizer = new Tokenizer(vocabulary);
  const target: TargetEncoding = {
    column: NEXT_TOKEN,
    task: "classification",
    classes: tokenizer.names,
    mean: null,
    std: null,
  };
  return {
    inputs: [{ ...inputOf(text, tokenizer), encoders: [{ column, type: "text", vocabulary }] }],
    target,
  };
}

export async function encodeText(file: ViewedFile, data: TextSpec, inherited: Inherited | null): Promise<Encoded> {
  const sides = await sidesOf(file, data);
  const encoding = encodingOf(data, columnOf(file, data), vocabularyOf(sides.train, data, inherited));
  const [{ encoders, ...input }] = encoding.inputs;
  const tokenizer = new Tokenizer((encoders[0] as { vocabulary: Vocabulary }).vocabulary);
  // There are no more tokens than bytes. The memory is that of the tokens once they are counted.
  const { tokens } = cut(sides, tokenizer, data);
  const values = new Int32Array(new SharedArrayBuffer(4 * tokens));
  let at = 0;
  const { train, valid, test } = cut(sides, tokenizer, data, (token) => (values[at++] = token));
  return {
    data: {
      inputs: [{ ...input, values, step: 1 }],
      // The target of a token is the next one.
      targets: values.subarray(1),
      targetStep: 1,
      targetShape: input.shape,
      trainRows: train,
      validRows: valid,
      testRows: test,
      target: { classes: [...encoding.target.classes!], mean: 0, std: 1 },
    },
    encoding,
  };
}

/** The first token of each training sample. */
export async function textRows(file: ViewedFile, data: TextSpec, inherited: Inherited | null): Promise<Int32Array> {
  const sides = await sidesOf(file, data);
  return cut(sides, new Tokenizer(vocabularyOf(sides.train, data, inherited)), data).train;
}
