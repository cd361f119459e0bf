/**
 * Whether a name fits a list of patterns with `*` and `?` as ssh_config(5) and known_hosts have them: one of them, and none of those with
 * `!` before them.
 */
export function matchesPatterns(patterns: readonly string[], name: string): boolean {
  let matches = false;
  for (const pattern of patterns) {
    const isNegated = pattern.startsWith('!');
    if (!matchesPattern(isNegated ? pattern.slice(1) : pattern, name)) continue;
    if (isNegated) return false;
    matches = true;
  }
  return matches;
}

function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(name);
}
