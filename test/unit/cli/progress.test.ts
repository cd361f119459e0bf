import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Progress } from '../../../cli/output/progress.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What a terminal of so many columns is drawn, without what clears the line. */
function drawn(columns: number | undefined, label: string): string[] {
  const lines: string[] = [];
  const stream = {
    isTTY: true,
    columns,
    write: (text: string) => lines.push(text.replace('\r\x1b[K', '')),
  };
  const progress = new Progress(label, undefined, stream);
  for (const done of [0, 28_200, 1_940_000]) {
    progress.update(done, 1_940_000);
    vi.advanceTimersByTime(200);
  }
  return lines;
}

it.each([40, 60, 80, undefined])('a bar and its figures stay in one row of %s columns', (columns) => {
  for (const label of ['load', 'load tiny-stories-Q3_K_M.gguf', 'x'.repeat(120)]) {
    const lines = drawn(columns, label);
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line.length).toBeLessThan(columns ?? 80);
  }
});

it('gives up the bar before the figures', () => {
  expect(drawn(120, 'load model.gguf')[0]).toMatch(
    /^load model\.gguf \[\.{28}\] {3}1 % {2}28\.2 kB of 1\.94 MB {2}141 kB\/s$/,
  );
  expect(drawn(80, 'load tiny-stories-Q3_K_M.gguf')[0]).toMatch(
    /^load tiny-stories-Q3_K_M\.gguf \[\.+\] {3}1 % {2}28\.2 kB of 1\.94 MB {2}141 kB\/s$/,
  );
  expect(drawn(64, 'load tiny-stories-Q3_K_M.gguf')[0]).toMatch(
    /^load tiny-stories-Q3_K_M\.gguf {3}1 % {2}28\.2 kB of 1\.94 MB {2}1/,
  );
});
