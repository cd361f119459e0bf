// An independent reading of JSON Schema (2020-12, and draft-07's tuples), for tests: what it says of a value, not how one is
// written. Patterns are the engine's own regular expressions.

type Schema = boolean | Readonly<Record<string, unknown>>;

/** Formats read by other means than patterns, where there are any. */
const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  'date-time': (text) => isDate(text.slice(0, 10)) && /^T/.test(text.slice(10)) && isTime(text.slice(11)),
  time: isTime,
  duration: (text) => /^P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$/.test(text),
  email: (text) => /^[^@\s]+@[^@\s.-][^@\s]*\.[A-Za-z]{2,}$/.test(text) && !text.includes('..'),
  hostname: (text) =>
    text.length < 254 && text.split('.').every((label) => /^(?!-)[\w-]{1,63}(?<!-)$/.test(label)),
  ipv4: (text) => URL.canParse(`http://${text}/`) && new URL(`http://${text}/`).hostname === text,
  ipv6: (text) => URL.canParse(`http://[${text}]/`),
  uri: (text) => URL.canParse(text) && /^[\x21-\x7e]+$/.test(text),
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
};

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return (
    /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
  );
}

function isTime(text: string): boolean {
  const [, hour, minute, second, offset] =
    /^(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|[+-](\d\d):[0-5]\d)$/.exec(text) ?? [];
  return Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60 && Number(offset ?? 0) < 24;
}

/** Whether `value` satisfies `schema`; keywords that the package refuses are not looked at. */
export function satisfies(schema: unknown, value: unknown, root: unknown = schema): boolean {
  const s = schema as Schema;
  if (typeof s === 'boolean') return s;
  const sub = (part: unknown, of: unknown) => satisfies(part, of, root);
  const number = (keyword: string, holds: (limit: number) => boolean) =>
    s[keyword] === undefined || holds(s[keyword] as number);
  const list = (keyword: string) => (s[keyword] ?? []) as unknown[];
  const record = (keyword: string) => (s[keyword] ?? {}) as Record<string, unknown>;
  if (s.$ref !== undefined && !sub(at(root, s.$ref as string), value)) return false;
  if (!list('allOf').every((one) => sub(one, value))) return false;
  if (s.anyOf !== undefined && !list('anyOf').some((one) => sub(one, value))) return false;
  if (s.oneOf !== undefined && list('oneOf').filter((one) => sub(one, value)).length !== 1) return false;
  if (s.not !== undefined && sub(s.not, value)) return false;
  const same = (one: unknown) => JSON.stringify(one) === JSON.stringify(value);
  if (s.enum !== undefined && !(s.enum as unknown[]).some(same)) return false;
  if ('const' in s && !same(s.const)) return false;
  const types = [s.type ?? [], s.nullable === true ? 'null' : []].flat();
  if (s.type !== undefined && !types.some((type) => isOf(type as string, value))) return false;
  if (typeof value === 'number')
    return (
      Number.isFinite(value) &&
      number('minimum', (limit) => value >= limit) &&
      number('maximum', (limit) => value <= limit) &&
      number('exclusiveMinimum', (limit) => value > limit) &&
      number('exclusiveMaximum', (limit) => value < limit) &&
      number(
        'multipleOf',
        (step) => Math.abs(value / step - Math.round(value / step)) < 1e-9 * Math.abs(value / step) + 1e-12,
      )
    );
  if (typeof value === 'string') {
    const length = [...value].length;
    const isOfFormat = FORMATS[s.format as string];
    return (
      number('minLength', (limit) => length >= limit) &&
      number('maxLength', (limit) => length <= limit) &&
      (s.pattern === undefined || new RegExp(s.pattern as string, 'u').test(value)) &&
      (isOfFormat === undefined || isOfFormat(value))
    );
  }
  if (Array.isArray(value)) {
    const prefix = Array.isArray(s.items) ? s.items : list('prefixItems');
    const rest = Array.isArray(s.items) ? s.additionalItems : s.items;
    return (
      number('minItems', (limit) => value.length >= limit) &&
      number('maxItems', (limit) => value.length <= limit) &&
      (s.uniqueItems !== true || new Set(value.map((item) => JSON.stringify(item))).size === value.length) &&
      value.every((item, i) => sub(i < prefix.length ? prefix[i] : (rest ?? true), item))
    );
  }
  if (typeof value === 'object' && value !== null) {
    const properties = record('properties');
    const names = Object.keys(value);
    return (
      number('minProperties', (limit) => names.length >= limit) &&
      number('maxProperties', (limit) => names.length <= limit) &&
      (list('required') as string[]).every((name) => Object.hasOwn(value, name)) &&
      Object.entries(value).every(([name, of]) => {
        const own = Object.hasOwn(properties, name) ? [properties[name]] : [];
        const byPattern = Object.entries(record('patternProperties'))
          .filter(([pattern]) => new RegExp(pattern, 'u').test(name))
          .map(([, one]) => one);
        const all = [...own, ...byPattern];
        return (
          sub(s.propertyNames ?? true, name) &&
          (all.length > 0 ? all : [s.additionalProperties ?? true]).every((one) => sub(one, of))
        );
      })
    );
  }
  return true;
}

function at(root: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], root);
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'null') return value === null;
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}
