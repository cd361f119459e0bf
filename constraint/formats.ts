import type { NumberRange } from './number-range.js';

const HOUR = '([01][0-9]|2[0-3])';
const TIME = `${HOUR}:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]${HOUR}:[0-5][0-9])`;
const LEAP_YEAR = '([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00|0000)';
const DATE = `([0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)|${LEAP_YEAR}-02-29)`;
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const DOMAIN = `(${LABEL}\\.){1,3}[A-Za-z]{2,16}`;
const UNLIMITED_DOMAIN = '([A-Za-z0-9]+(-+[A-Za-z0-9]+)*\\.)+[A-Za-z]{2,}';
const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const IPV4 = `(${BYTE}\\.){3}${BYTE}`;
const GROUP = '[0-9a-fA-F]{1,4}';
const URI_CHARACTER = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
/** Behind the domain: short enough for Pydantic's HttpUrl. */
const URI_TAIL = `(/${URI_CHARACTER}{0,64}){0,5}(\\?(${URI_CHARACTER}|[/?]){0,128})?(#(${URI_CHARACTER}|[/?]){0,64})?`;

/** Patterns that match only what the `format` of this name allows, though not all of it (JSON Schema Validation, section 7.3). */
export const FORMAT_PATTERNS: Readonly<Record<string, string>> = {
  'date-time': `^${DATE}T${TIME}$`,
  date: `^${DATE}$`,
  time: `^${TIME}$`,
  duration: '^P([0-9]{1,4}W|[0-9]{1,4}D(T[0-9]{1,4}[HMS])?|[0-9]{1,4}[YM]|T[0-9]{1,4}[HMS])$',
  email: `^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,16}){0,2}@${DOMAIN}$`,
  hostname: `^${LABEL}(\\.${LABEL}){0,3}$`,
  ipv4: `^${IPV4}$`,
  ipv6: `^((${GROUP}:){7}${GROUP}|::(${GROUP}(:${GROUP}){0,5})?|${GROUP}::(${GROUP}(:${GROUP}){0,4})?|(${GROUP}:){2}:(${GROUP}(:${GROUP}){0,3})?)$`,
  uri: `^https?://${DOMAIN}(:[1-9][0-9]{0,3})?${URI_TAIL}$`,
  uuid: '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$',
  ...Object.fromEntries(
    [1, 3, 4, 5, 6, 7, 8].map((version) => [
      `uuid${version}`,
      `^[0-9a-f]{8}-[0-9a-f]{4}-${version}[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
    ]),
  ),
};

/** The same without limits to the parts' lengths, for beside patterns and lengths: they would need too many states together. */
export const UNLIMITED_PATTERNS: Readonly<Record<string, string>> = {
  email: `^[A-Za-z0-9_+-]+(\\.[A-Za-z0-9_+-]+)*@${UNLIMITED_DOMAIN}$`,
  uri: `^https?://${UNLIMITED_DOMAIN}(:[1-9][0-9]{0,3})?(/${URI_CHARACTER}*)*(\\?(${URI_CHARACTER}|[/?])*)?(#(${URI_CHARACTER}|[/?])*)?$`,
};

/** Formats of strings that say how to show them, not which there are (OpenAPI). */
export const UNCHECKED_FORMATS: ReadonlySet<string> = new Set([
  'password',
  'binary',
  'textarea',
  'multi-line',
]);

/** Formats of numbers (OpenAPI's registry); those that every number has that is written here are among them. */
export const NUMBER_FORMATS: Readonly<Record<string, NumberRange>> = {
  int32: {
    low: { value: -(2 ** 31), exclusive: false },
    high: { value: 2 ** 31 - 1, exclusive: false },
    divisors: [1],
  },
  uint32: {
    low: { value: 0, exclusive: false },
    high: { value: 2 ** 32 - 1, exclusive: false },
    divisors: [1],
  },
  int64: { divisors: [1] },
  float: { divisors: [] },
  double: { divisors: [] },
};
