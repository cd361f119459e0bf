import { COLUMNS, someColumns } from './columns';
import { PREPARED_BYTES } from './layout';
import { oneColumn } from './one-column';
import { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } from './unpack';

/**
 * One COMPUTE: outputs[n * rows + m] (float32) = sum over k of weight block m*kb + k times input block n*kb + k.
 *
 * @param type 2..6 for Q2_K..Q6_K
 * @param lanes address of the lanes' base addresses: block i is number i >> laneShift of lane i & ((1 << laneShift) - 1)
 * @param inputs prepared input blocks
 * @param scratch 352 bytes
 */
export function multiply(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  while (columns > 0) {
    const width = min(columns, COLUMNS);
    if (type == Q2_K) multiplyQ2K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else if (type == Q3_K) multiplyQ3K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else if (type == Q4_K) multiplyQ4K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else if (type == Q5_K) multiplyQ5K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else multiplyQ6K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    columns -= width;
    inputs += <usize>(width * kb) * PREPARED_BYTES;
    outputs += <usize>(width * rows) << 2;
  }
}

function multiplyQ2K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) oneColumn(Q2_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q2_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ3K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) oneColumn(Q3_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q3_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ4K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) oneColumn(Q4_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q4_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ5K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) oneColumn(Q5_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q5_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ6K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) oneColumn(Q6_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q6_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}
