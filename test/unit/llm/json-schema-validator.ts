// An independent reading of JSON Schema, for tests: what it says of a value, not how one is written.

type Schema = boolean | Readonly<Record<string, unknown>>;

/** Whether `value` satisfies `schema`; keywords that the package refuses are not looked at. */
export function satisfies(schema: unknown, value: unknown, root: unknown = schema): boolean {
  const s = schema as Schema;
  if (typeof s === 'boolean') return s;
  const sub = (part: unknown, of: unknown) => satisfies(part, of, root);
  const number = (keyword: string, holds: (limit: number) => boolean) =>
    s[keyword] === undefined || holds(s[keyword] as number);
  if (s.$ref !== undefined && !sub(at(root, s.$ref as string), value)) return false;
  if (s.anyOf !== undefined && !(s.anyOf as unknown[]).some((one) => sub(one, value))) return false;
  const same = (one: unknown) => JSON.stringify(one) === JSON.stringify(value);
  if (s.enum !== undefined && !(s.enum as unknown[]).some(same)) return false;
  if ('const' in s && !same(s.const)) return false;
  if (s.type !== undefined && ![s.type].flat().some((type) => isOf(type as string, value))) return false;
  if (typeof value === 'number')
    return (
      Number.isFinite(value) &&
      number('minimum', (limit) => value >= limit) &&
      number('maximum', (limit) => value <= limit) &&
      number('exclusiveMinimum', (limit) => value > limit) &&
      number('exclusiveMaximum', (limit) => value < limit)
    );
  if (typeof value === 'string') {
    const length = [...value].length;
    return (
      number('minLength', (limit) => length >= limit) &&
      number('maxLength', (limit) => length <= limit) &&
      (s.pattern === undefined || new RegExp(s.pattern as string, 'u').test(value))
    );
  }
  if (Array.isArray(value))
    return (
      number('minItems', (limit) => value.length >= limit) &&
      number('maxItems', (limit) => value.length <= limit) &&
      (s.items === undefined || value.every((item) => sub(s.items, item)))
    );
  if (typeof value === 'object' && value !== null) {
    const properties = (s.properties ?? {}) as Record<string, unknown>;
    const required = (s.required ?? []) as string[];
    return (
      required.every((name) => Object.hasOwn(value, name)) &&
      Object.entries(value).every(([name, of]) =>
        sub(Object.hasOwn(properties, name) ? properties[name] : (s.additionalProperties ?? true), of),
      )
    );
  }
  return true;
}

function at(root: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], root);
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'null') return value === null;
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}
