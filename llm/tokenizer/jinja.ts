import { Interpreter, parse, tokenize } from '@huggingface/jinja';
import {
  formatText,
  itemsOf,
  METHODS,
  newScope,
  type Scope,
  strip,
  textOf,
  toValue,
  type Value,
} from './python-values.js';

// What chat templates use of Python's Jinja and the library does not have: methods of lists, dictionaries and texts that
// Python objects bring along, `%` on texts, `{% do %}` (Jinja's extension `do`, which Hugging Face switches on), and
// `map` by a filter.

/** A part of a parsed template. The library's own types cannot be read from outside of it. */
interface Node {
  readonly type: string;
}

interface Token {
  readonly type: string;
  readonly value: string;
}

const LibraryInterpreter: new (
  globals: Scope,
) => {
  run(program: object): Value;
  evaluate(node: Node | undefined, environment: Scope): Value;
} = Interpreter;

/** A node that stands for a value. */
interface ValueNode extends Node {
  readonly value: Value;
}

interface CallNode extends Node {
  readonly callee: Node & {
    readonly object: Node;
    readonly property: Node & { readonly value: string };
    readonly computed: boolean;
  };
  readonly args: readonly Node[];
}

interface FilterNode extends Node {
  readonly operand: Node;
  readonly filter: Node & { readonly value?: string; readonly callee?: { readonly value: string } } & {
    readonly args?: readonly Node[];
  };
}

interface BinaryNode extends Node {
  readonly operator: { readonly value: string };
  readonly left: Node;
  readonly right: Node;
}

/** A parsed template. */
export type TemplateProgram = object;

/** @throws Error where the template is none */
export function parseTemplate(source: string): TemplateProgram {
  const tokens: readonly Token[] = tokenize(source, { lstrip_blocks: true, trim_blocks: true });
  // {% do x %} is {% set _ = x %}.
  const withoutDo = tokens.flatMap((token, i) =>
    token.value === 'do' && token.type === 'Identifier' && tokens[i - 1]?.type === 'OpenStatement'
      ? SET_NOTHING
      : [token],
  );
  return parse(withoutDo);
}

const SET_NOTHING: readonly Token[] = [
  { type: 'Identifier', value: 'set' },
  { type: 'Identifier', value: '_' },
  { type: 'Equals', value: '=' },
];

/** @param variables plain values and functions, by name @throws Error whatever the template makes wrong */
export function runTemplate(program: TemplateProgram, variables: Readonly<Record<string, unknown>>): unknown {
  const globals = newScope();
  for (const [name, value] of Object.entries(variables)) globals.set(name, value);
  return new TemplateInterpreter(globals).run(program).value;
}

/** Interprets a template as Python's Jinja does. */
class TemplateInterpreter extends LibraryInterpreter {
  override evaluate(node: Node | undefined, environment: Scope): Value {
    switch (node?.type) {
      case 'Value':
        return (node as ValueNode).value;
      case 'CallExpression':
        return this.#call(node as CallNode, environment) ?? super.evaluate(node, environment);
      case 'BinaryExpression':
        return this.#format(node as BinaryNode, environment) ?? super.evaluate(node, environment);
      case 'FilterExpression':
        return this.#filter(node as FilterNode, environment) ?? super.evaluate(node, environment);
      default:
        return super.evaluate(node, environment);
    }
  }

  /** A method of a Python object. */
  #call({ callee, args }: CallNode, environment: Scope): Value | undefined {
    if (callee.type !== 'MemberExpression' || callee.computed) return undefined;
    const name = callee.property.value;
    if (!Object.hasOwn(METHODS, name)) return undefined;
    const object = this.evaluate(callee.object, environment);
    const method = METHODS[name][object.type];
    if (method !== undefined) {
      const given = args.map((arg) => this.evaluate(arg, environment));
      return method(object, given) ?? toValue(null);
    }
    const bound = { ...callee, object: valueNode(object) };
    return super.evaluate({ type: 'CallExpression', callee: bound, args } as Node, environment);
  }

  #format({ operator, left, right }: BinaryNode, environment: Scope): Value | undefined {
    if (operator.value !== '%') return undefined;
    const text = this.evaluate(left, environment);
    const operand = this.evaluate(right, environment);
    if (text.type === 'StringValue') return toValue(formatText(textOf(text), operand));
    const values = { left: valueNode(text), right: valueNode(operand) };
    return super.evaluate({ type: 'BinaryExpression', operator, ...values } as Node, environment);
  }

  #filter({ operand, filter }: FilterNode, environment: Scope): Value | undefined {
    const [arg] = filter.args ?? [];
    if (filter.callee?.value === 'trim' && arg !== undefined) {
      const characters = textOf(this.evaluate(arg, environment));
      return toValue(strip(textOf(this.evaluate(operand, environment)), characters));
    }
    if (filter.callee?.value !== 'map' || arg?.type !== 'StringLiteral') return undefined;
    // By a filter: `xs | map('upper')`.
    const one = { type: 'Identifier', value: textOf(this.evaluate(arg, environment)) };
    const list = toValue([]);
    for (const item of itemsOf(this.evaluate(operand, environment))) {
      const filtered = { type: 'FilterExpression', operand: valueNode(item), filter: one };
      itemsOf(list).push(super.evaluate(filtered, environment));
    }
    return list;
  }
}

function valueNode(value: Value): ValueNode {
  return { type: 'Value', value } as ValueNode;
}
