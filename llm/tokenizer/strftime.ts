const two = (value: number) => String(value).padStart(2, '0');
const inWords = (date: Date, options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', ...options }).format(date);

/** By the letter of Python's strftime, in the C locale. */
const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => inWords(date, { weekday: 'short' }),
  A: (date) => inWords(date, { weekday: 'long' }),
  b: (date) => inWords(date, { month: 'short' }).slice(0, 3),
  B: (date) => inWords(date, { month: 'long' }),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  F: (date) => date.toISOString().slice(0, 10),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % 12 || 12),
  j: (date) =>
    String(((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 0)) / 86_400_000) | 0).padStart(3, '0'),
  m: (date) => two(date.getUTCMonth() + 1),
  M: (date) => two(date.getUTCMinutes()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  S: (date) => two(date.getUTCSeconds()),
  T: (date) => date.toISOString().slice(11, 19),
  y: (date) => two(date.getUTCFullYear() % 100),
  Y: (date) => String(date.getUTCFullYear()),
  '%': () => '%',
};

/**
 * The midnight that a day begins with, as Python's strftime writes it.
 * @param day YYYY-MM-DD
 * @param format `%-d` and the like leave zeros in front away
 */
export function strftime(day: string, format: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  return format.replace(/%(-?)([A-Za-z%])/g, (all, bare, letter) => {
    const write = DIRECTIVES[letter];
    if (write === undefined) return all;
    return bare ? write(date).replace(/^[0 ]+(?=\d)/, '') : write(date);
  });
}
