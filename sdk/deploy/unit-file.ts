import { readFileSync } from 'node:fs';

/**
 * The text of a file for systemd or udev, made for a board. In the file, `@NAME@` stands for a word of a unit's command,
 * and a line that begins with `#[case] ` is there only in that case.
 * @param values by name: each becomes one word, whatever it holds
 * @throws Error where the file has a name that has no value
 */
export function unitFile(
  file: URL,
  values: Readonly<Record<string, string>>,
  cases: Readonly<Record<string, boolean>>,
): string {
  return readFileSync(file, 'utf8')
    .replace(/^#\[([\w-]+)\] (.*\n)/gm, (_, name: string, line: string) => (cases[name] ? line : ''))
    .replace(/@([A-Z_]+)@/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`${file.pathname} wants a value for ${name}`);
      return unitWord(value);
    });
}

/**
 * A word of a command in a unit, as systemd.syntax(7) and "COMMAND LINES" of systemd.service(5) have it: % and $ stand
 * for something, blanks separate words, a lone ; commands, and a line break would begin another line of the unit.
 */
function unitWord(word: string): string {
  const escaped = word
    .replace(/[\\"]/g, '\\$&')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$')
    .replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return /^[\w@%+=:,./?&$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
