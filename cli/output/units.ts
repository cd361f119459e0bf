/** `1.94 MB`: decimal multiples, three significant digits. */
export function formatBytes(bytes: number): string {
  return formatScaled(bytes, ['B', 'kB', 'MB', 'GB', 'TB']);
}

/** `12.3 M`: a count with a decimal prefix, three significant digits; whole below 10,000. */
export function formatCount(count: number): string {
  return count < 10_000 ? String(Math.round(count)) : formatScaled(count, ['', 'k', 'M', 'G', 'T']);
}

/** `480 tokens`. */
export function formatTokens(tokens: number): string {
  return `${formatCount(tokens)} tokens`;
}

/** `1.23 s`, `4.56 ms`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds >= 1000) return `${significant(milliseconds / 1000)} s`;
  return milliseconds >= 1 ? `${significant(milliseconds)} ms` : `${significant(milliseconds * 1000)} µs`;
}

/** `43.2 %` of a share between 0 and 1. */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** `0x43c00000`. */
export function formatHex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

function formatScaled(value: number, units: readonly string[]): string {
  let scaled = value;
  let unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? scaled : significant(scaled)} ${units[unit]}`.trimEnd();
}

function significant(value: number): string {
  if (value === 0) return '0';
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
