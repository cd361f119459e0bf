const HOUR = '([01][0-9]|2[0-3])';
const TIME = `${HOUR}:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]${HOUR}:[0-5][0-9])`;
/** No 29 February: whether it exists depends on the year. */
const DATE = '[0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)';
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';

/** Patterns that match only what the `format` of this name allows, though not all of it (JSON Schema Validation, section 7.3). */
export const FORMAT_PATTERNS: Readonly<Record<string, string>> = {
  'date-time': `^${DATE}T${TIME}$`,
  date: `^${DATE}$`,
  time: `^${TIME}$`,
  duration: '^P([0-9]{1,4}W|[0-9]{1,4}D(T[0-9]{1,4}[HMS])?|[0-9]{1,4}[YM]|T[0-9]{1,4}[HMS])$',
  email: `^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,16}){0,2}@(${LABEL}\\.){1,3}[A-Za-z]{2,16}$`,
  hostname: `^${LABEL}(\\.${LABEL}){0,3}$`,
  ipv4: `^(${BYTE}\\.){3}${BYTE}$`,
  ipv6: '^([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
};
