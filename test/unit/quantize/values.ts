/** What test/fixtures/quantized-rows.json was made from. */
export const ROWS = 64;
export const COLUMNS = 512;

/** Rows of many magnitudes, with outliers, rows of one sign, groups of zeros, a row of zeros and one of ones; then weights of columns. */
export function sampleRows(): { values: Float32Array; importance: Float32Array } {
  let state = 7n;
  const next = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n);
    return Number(state >> 40n) / 2 ** 24;
  };
  const values = new Float32Array(ROWS * COLUMNS);
  for (let row = 0; row < ROWS; row++) {
    const scale = 2 ** (Math.floor(next() * 24) - 18);
    for (let column = 0; column < COLUMNS; column++) {
      let value = (next() + next() + next() - 1.5) * scale;
      if (next() < 0.01) value *= 16;
      if (row % 8 === 5) value = Math.abs(value);
      if (row % 8 === 6 && column % 64 < 32) value = 0;
      if (row % 8 === 7) value = -Math.abs(value);
      if (row === 3) value = 0;
      if (row === 4) value = 1;
      values[row * COLUMNS + column] = value;
    }
  }
  const importance = Float32Array.from({ length: COLUMNS }, () => next() * next() * 100);
  return { values, importance };
}
