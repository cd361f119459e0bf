import { floatToHalf, halfToFloat } from '../half.js';
import { SUPER_BLOCK } from '../types.js';
import { fitSymmetric, fitWithMin, quantOf } from './fit-group.js';
import type { SuperBlock, SuperBlockCodec } from './super-block.js';

/**
 * Chooses the fields of a super-block for 256 finite values from `from` on. Each group is fitted by itself, the
 * scales and mins are rounded to the block's d and dmin, and the quants are chosen for the rounded scales.
 * The error is that of K-quants; the bits need not be llama.cpp's, whose search is another.
 */
export function quantizeSuperBlock(
  codec: SuperBlockCodec,
  values: Float32Array,
  from: number,
  into: SuperBlock,
): void {
  const { groupSize, quantRange, scaleRange, hasMins } = codec;
  const fits = Array.from({ length: SUPER_BLOCK / groupSize }, (_, group) =>
    hasMins
      ? fitWithMin(values, from + group * groupSize, groupSize, quantRange[1])
      : fitSymmetric(values, from + group * groupSize, groupSize, quantRange[0]),
  );
  into.d = rounded(
    hasMins
      ? largest(fits.map((fit) => fit.scale)) / scaleRange[1]
      : extreme(fits.map((fit) => fit.scale)) / scaleRange[0],
  );
  into.dmin = hasMins ? rounded(largest(fits.map((fit) => fit.min)) / scaleRange[1]) : 0;
  for (let i = 0; i < SUPER_BLOCK; i++) {
    const fit = fits[Math.floor(i / groupSize)];
    const group = i >> 4;
    into.scales[group] = ratio(fit.scale, into.d, scaleRange[0], scaleRange[1]);
    into.mins[group] = ratio(fit.min, into.dmin, 0, scaleRange[1]);
    const stored = { scale: into.d * into.scales[group], min: into.dmin * into.mins[group] };
    into.quants[i] = quantOf(values[from + i], stored, quantRange[0], quantRange[1]);
  }
}

/** As the file will hold it. */
function rounded(value: number): number {
  return halfToFloat(floatToHalf(value));
}

function ratio(value: number, unit: number, lowest: number, highest: number): number {
  return unit === 0 ? 0 : Math.max(lowest, Math.min(highest, Math.round(value / unit)));
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

/** The value of largest magnitude, with its sign: it takes the longer, negative end of the scales' range. */
function extreme(values: readonly number[]): number {
  return values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
}
