// Translates elementwise kernels from AssemblyScript into C, for the native kernels.
//
// In an elementwise kernel no number depends on its neighbours. So its arithmetic is the same bits
// in vectors of any width, and C needs only the same operations in the same order. A translation
// keeps the two alike for good, where a second text would have to be changed along with the first.
//
// What it recognises is the pair of loops that such kernels have:
//
//   for (; i < whole; i += 16) element(x + i, …, true);
//   for (; i < all; i += 4) element(x + i, …, false);
//
// It becomes one loop over full vectors, of whatever width, and a last call for what remains. The
// parameter `full` becomes the number of lanes that count. In kernels for packs (pack.kernel.as.ts)
// there is only a loop over full vectors, up to PACK. Everything else is copied operation by
// operation. A kernel that does anything but that (doubles, sums, shuffles, loops of another form)
// is not translated and says why; it stays with WebAssembly, or has a C text of its own.
import {
  bits,
  DEFINED,
  isConstant,
  isFloat,
  isOverPack,
  isPair,
  literal,
  newOptions,
  newProgram,
  NodeKind,
  operator,
  OPERATIONS,
  parse,
  textOf,
  typeOf,
  Untranslatable,
  type Tree,
} from "./kernel-syntax.ts";

interface File {
  readonly path: string;
  readonly members: ReadonlyMap<string, Tree>;
  /** What a name that is imported here is called in the file it comes from. */
  readonly imports: ReadonlyMap<string, { readonly path: string; readonly name: string }>;
}

/** What stands for the type parameters of a generic function or class. */
type Types = ReadonlyMap<string, ClassOf>;

interface ClassOf {
  readonly file: File;
  readonly tree: Tree;
  readonly types: Types;
  readonly name: string;
}

interface Scope {
  readonly file: File;
  readonly types: Types;
  readonly locals: Map<string, string>;
  /** Constants that stand for a class without fields. */
  readonly objects: Map<string, ClassOf>;
  /** What `true` and `false` mean as an argument for `full`. */
  readonly lanes: string | null;
}

export interface Translation {
  /** The kernel's C, with what it needs; empty if it could not be translated. */
  readonly code: string;
  /** Why it was not translated. */
  readonly reason: string | null;
}

export class Translator {
  readonly #files = new Map<string, File>();
  readonly #read: (path: string) => string;
  /** Definitions already written, by their names in C. */
  readonly #written = new Set<string>();
  #pending: { name: string; code: string }[] = [];
  #begun: Set<string> = new Set();

  /** `read` gives the text of a file of the project. */
  constructor(read: (path: string) => string) {
    this.#read = read;
  }

  /** The kernel `name` of a file as a C function of the same name. */
  translate(path: string, name: string): Translation {
    this.#pending = [];
    this.#begun = new Set();
    try {
      const file = this.#file(path);
      this.#function(file, file.members.get(name)!, new Map(), `k_${name}`);
    } catch (error) {
      if (error instanceof Untranslatable) return { code: "", reason: error.message };
      throw error;
    }
    for (const { name: definition } of this.#pending) this.#written.add(definition);
    return { code: this.#pending.map(({ code }) => code).join(""), reason: null };
  }

  /** A function that is no kernel, and what it needs; its name in C has the file before it. */
  library(path: string, name: string): string {
    this.#pending = [];
    const file = this.#file(path);
    const inC = `${prefixOf(file)}_${name}`;
    this.#function(file, file.members.get(name)!, new Map(), inC);
    for (const { name: definition } of this.#pending) this.#written.add(definition);
    return this.#pending.map(({ code }) => code).join("");
  }

  #file(path: string): File {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const program = newProgram(newOptions());
    parse(program, this.#read(path), path, true);
    const { statements } = program.sources.at(-1)!;
    const members = new Map<string, Tree>();
    const imports = new Map<string, { path: string; name: string }>();
    for (const statement of statements) {
      if (statement.kind === NodeKind.Import) {
        const from = new URL(`${statement.path.value}.ts`, `file:///${path}`).pathname.slice(1);
        for (const { foreignName, name } of statement.declarations)
          imports.set(name.text, { path: from, name: foreignName.text });
      } else if (statement.kind === NodeKind.Variable) {
        for (const declaration of statement.declarations) members.set(declaration.name.text, declaration);
      } else if (statement.name !== undefined) members.set(statement.name.text, statement);
    }
    const file = { path, members, imports };
    this.#files.set(path, file);
    return file;
  }

  /** Where a global name is defined. */
  #find(file: File, name: string): { file: File; tree: Tree } {
    const imported = file.imports.get(name);
    if (imported !== undefined) return this.#find(this.#file(imported.path), imported.name);
    const tree = file.members.get(name);
    if (tree === undefined) throw new Untranslatable(`${name} is not known`);
    return { file, tree };
  }

  /** Writes a function, after all that it calls; once. */
  #function(file: File, tree: Tree, types: Types, name: string): string {
    if (this.#written.has(name) || this.#begun.has(name)) return name;
    this.#begun.add(name);
    const { parameters, returnType } = tree.signature;
    const locals = new Map<string, string>();
    const list = parameters.map((parameter: Tree) => {
      const local = localName(parameter.name.text);
      locals.set(parameter.name.text, local);
      return `${typeOf(parameter.type)} ${local}`;
    });
    const body = this.#statement(tree.body, { file, types, locals, objects: new Map(), lanes: null });
    const scope = name.startsWith("k_") ? "static" : "INLINE";
    const head = `${scope} ${typeOf(returnType)} ${name}(${["uint8_t *memory", ...list].join(", ")})`;
    this.#pending.push({ name, code: `${head} ${body}\n` });
    return name;
  }

  #statement(tree: Tree, scope: Scope): string {
    switch (tree.kind) {
      case NodeKind.Block:
        return `{\n${this.#statements(tree.statements, { ...scope, locals: new Map(scope.locals) })}}`;
      case NodeKind.Expression:
        return `${this.#expression(tree.expression, scope)};`;
      case NodeKind.Return:
        return tree.value === null ? "return;" : `return ${this.#expression(tree.value, scope)};`;
      case NodeKind.If: {
        const otherwise = tree.ifFalse === null ? "" : ` else ${this.#statement(tree.ifFalse, scope)}`;
        return `if (${this.#expression(tree.condition, scope)}) ${this.#statement(tree.ifTrue, scope)}${otherwise}`;
      }
      case NodeKind.Variable:
        return tree.declarations.map((declaration: Tree) => this.#variable(declaration, scope)).join(" ");
      case NodeKind.For:
        return this.#for(tree, scope);
      default:
        throw new Untranslatable(`a statement like ${textOf(tree).slice(0, 20)}`);
    }
  }

  #statements(list: readonly Tree[], scope: Scope): string {
    let code = "";
    for (let i = 0; i < list.length; i++) {
      const pair = i + 1 < list.length && isPair(list[i], list[i + 1]);
      code += `${pair ? this.#pair(list[i], list[++i], scope) : this.#statement(list[i], scope)}\n`;
    }
    return code;
  }

  #variable({ name, type, initializer }: Tree, scope: Scope): string {
    const object = this.#classOfObject(initializer, scope);
    if (object !== null) {
      scope.objects.set(name.text, object);
      return "";
    }
    const value = this.#expression(initializer, scope);
    const local = localName(name.text);
    scope.locals.set(name.text, local);
    return `${type === null ? "__auto_type" : typeOf(type)} ${local} = ${value};`;
  }

  /** A loop over the lanes of a pack, or over anything but the elements of vectors. */
  #for({ initializer, condition, incrementor, body }: Tree, outer: Scope): string {
    const scope = { ...outer, locals: new Map(outer.locals) };
    const begin = initializer === null ? "" : this.#statement(initializer, scope);
    if (isOverPack(condition, incrementor)) {
      const i = this.#expression(condition.left, scope);
      const head = `for (; ${this.#expression(condition, scope)}; ${i} += 4 * LANES)`;
      return `{ ${begin} ${head} ${this.#statement(body, { ...scope, lanes: "LANES" })} }`;
    }
    if (incrementor === null || textOf(incrementor).includes("+="))
      throw new Untranslatable("a loop over vectors that has no twin");
    const head = `for (; ${this.#expression(condition, scope)}; ${this.#expression(incrementor, scope)})`;
    return `{ ${begin} ${head} ${this.#statement(body, scope)} }`;
  }

  /** The pair of loops that is the subject of this file. */
  #pair(first: Tree, second: Tree, outer: Scope): string {
    const scope = { ...outer, locals: new Map(outer.locals) };
    const begin = first.initializer === null ? "" : this.#statement(first.initializer, scope);
    const i = this.#expression(second.condition.left, scope);
    const all = this.#expression(second.condition.right, scope);
    const full = this.#statement(first.body, { ...scope, lanes: "LANES" });
    const rest = this.#statement(first.body, { ...scope, lanes: "lanes" });
    return `{ ${begin} for (; ${all} - ${i} >= 4 * LANES; ${i} += 4 * LANES) ${full}
if (${i} < ${all}) { const int lanes = (int)((${all} - ${i}) >> 2); ${rest} ${i} = ${all}; } }`;
  }

  #expression(tree: Tree, scope: Scope): string {
    switch (tree.kind) {
      case NodeKind.Identifier:
        if (tree.text === "Infinity") return "__builtin_inff()";
        return scope.locals.get(tree.text) ?? this.#global(scope.file, tree.text);
      case NodeKind.True:
        return "1";
      case NodeKind.False:
        return "0";
      case NodeKind.Literal:
        return literal(tree);
      case NodeKind.Parenthesized:
        return `(${this.#expression(tree.expression, scope)})`;
      case NodeKind.Assertion:
        return `(${typeOf(tree.toType)})${this.#expression(tree.expression, scope)}`;
      case NodeKind.Binary:
        if (isFloat(tree.left) || isFloat(tree.right)) throw new Untranslatable("arithmetic on a float literal");
        return `(${this.#expression(tree.left, scope)} ${operator(tree)} ${this.#expression(tree.right, scope)})`;
      case NodeKind.UnaryPrefix:
        return `${operator(tree)}${this.#expression(tree.operand, scope)}`;
      case NodeKind.UnaryPostfix:
        return `${this.#expression(tree.operand, scope)}${operator(tree)}`;
      case NodeKind.Ternary:
        return `(${this.#expression(tree.condition, scope)} ? ${this.#expression(tree.ifThen, scope)} : ${this.#expression(tree.ifElse, scope)})`;
      case NodeKind.Call:
        return this.#call(tree, scope);
      default:
        throw new Untranslatable(`an expression like ${textOf(tree).slice(0, 20)}`);
    }
  }

  /** A constant of a file. */
  #global(from: File, name: string): string {
    const { file, tree } = this.#find(from, name);
    const constant = `${prefixOf(file)}_${name}`;
    if (tree.kind !== NodeKind.VariableDeclaration || !isConstant(tree))
      throw new Untranslatable(`the variable ${name}`);
    const { initializer } = tree;
    if (initializer.kind === NodeKind.Literal) return literal(initializer);
    if (this.#written.has(constant) || this.#begun.has(constant)) return constant;
    this.#begun.add(constant);
    if (initializer.kind === NodeKind.Call && textOf(initializer.expression) === "memory.data") {
      const type = initializer.typeArguments[0].name.identifier.text;
      const words = initializer.args[0].elementExpressions.map((element: Tree) => bits(type, Number(textOf(element))));
      this.#pending.push({ name: constant, code: `static const uint32_t ${constant}[] = {${words.join(", ")}};\n` });
    } else throw new Untranslatable(`the constant ${name}`);
    return constant;
  }

  #call({ expression, args, typeArguments }: Tree, scope: Scope): string {
    if (expression.kind === NodeKind.PropertyAccess) return this.#method(expression, args, scope);
    const { file, tree } = this.#find(scope.file, expression.text);
    const { text: name } = tree.name;
    if (tree.kind !== NodeKind.FunctionDeclaration) throw new Untranslatable(`a call of ${name}`);
    if (DEFINED[file.path]?.includes(name)) return `vector_${name}(${this.#arguments(tree, args, scope, name)})`;
    const classes = (typeArguments ?? []).map((type: Tree) => this.#class(type, scope));
    const types = new Map<string, ClassOf>(
      (tree.typeParameters ?? []).map(({ name: parameter }: Tree, i: number) => [parameter.text, classes[i]]),
    );
    const full = [`${prefixOf(file)}_${name}`, ...classes.map((type: ClassOf) => type.name)].join("__");
    return `${this.#function(file, tree, types, full)}(${this.#arguments(tree, args, scope)})`;
  }

  /** An operation on vectors, or a method of a class that has no fields. */
  #method({ expression, property }: Tree, args: readonly Tree[], scope: Scope): string {
    const operation = `${textOf(expression)}.${property.text}`;
    if (OPERATIONS.has(operation)) {
      const list = args.map((argument) => this.#expression(argument, scope));
      return `${operation.replace(".", "_")}(${list.join(", ")})`;
    }
    const type = this.#classOfObject(expression, scope);
    if (type === null) throw new Untranslatable(operation.replace(/[^.\w]/g, ""));
    const method = type.tree.members.find((member: Tree) => member.name.text === property.text);
    const name = this.#function(type.file, method, type.types, `${type.name}__${property.text}`);
    return `${name}(${this.#arguments(method, args, scope)})`;
  }

  /** The class of `changetype<F>(0)`, or of a constant that holds it. */
  #classOfObject(tree: Tree, scope: Scope): ClassOf | null {
    if (tree.kind === NodeKind.Call && tree.expression.text === "changetype")
      return this.#class(tree.typeArguments[0], scope);
    return tree.kind === NodeKind.Identifier ? (scope.objects.get(tree.text) ?? null) : null;
  }

  #class(type: Tree, scope: Scope): ClassOf {
    const { text } = type.name.identifier;
    const bound = scope.types.get(text);
    if (bound !== undefined) return bound;
    const { file, tree } = this.#find(scope.file, text);
    const inner = type.typeArguments.map((argument: Tree) => this.#class(argument, scope));
    const types = new Map<string, ClassOf>(
      (tree.typeParameters ?? []).map(({ name }: Tree, i: number) => [name.text, inner[i]]),
    );
    const name = [`${prefixOf(file)}_${text}`, ...inner.map((one: ClassOf) => one.name)].join("__");
    return { file, tree, types, name };
  }

  /** The arguments of a call, with the defaults of those that were left out. */
  #arguments({ signature }: Tree, args: readonly Tree[], scope: Scope, defined = ""): string {
    const list = signature.parameters.map((parameter: Tree, i: number) => {
      const given = args[i] ?? parameter.initializer;
      const isBool = parameter.type.name.identifier.text === "bool";
      const isLanes =
        isBool && parameter.name.text === "full" && (given.kind === NodeKind.True || given.kind === NodeKind.False);
      if (!isLanes) return this.#expression(given, scope);
      if (scope.lanes === null) throw new Untranslatable("part of a vector outside of a loop over elements");
      return scope.lanes;
    });
    // Those that take an address also take what it is relative to.
    const withMemory = defined === "" || defined === "load" || defined === "store";
    return [...(withMemory ? ["memory"] : []), ...list].join(", ");
  }
}

/** Names of a file in C begin with that of its folder and, in engine/kernels, its own. */
function prefixOf({ path }: File): string {
  const parts = path.split("/");
  const own = parts.at(-2) === "kernels" ? parts.at(-1)!.split(".")[0] : "";
  return [parts.at(-2), ...(own === "" ? [] : [own])].join("_").replaceAll("-", "_");
}

/** Locals end in an underscore: C's own names and macros do not. */
const localName = (name: string): string => `${name}_`;
