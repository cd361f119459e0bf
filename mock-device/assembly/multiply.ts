import { someColumns } from './columns';
import { oneColumn } from './one-column';
import { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } from './unpack';

/**
 * One COMPUTE: outputs[n * rows + m] (float32) = sum over k of weight block m*kb + k times input block n*kb + k.
 *
 * @param type 2..6 for Q2_K..Q6_K
 * @param lanes address of the lanes' base addresses: block i is number i >> laneShift of lane i & ((1 << laneShift) - 1)
 * @param inputs prepared input blocks
 * @param scratch 688 bytes and 8 a column
 */
export function multiply(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  if (type == Q2_K) multiplyQ2K(lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
  else if (type == Q3_K) multiplyQ3K(lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
  else if (type == Q4_K) multiplyQ4K(lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
  else if (type == Q5_K) multiplyQ5K(lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
  else multiplyQ6K(lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
}

function multiplyQ2K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  if (columns == 1) oneColumn(Q2_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q2_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
}

function multiplyQ3K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  if (columns == 1) oneColumn(Q3_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q3_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
}

function multiplyQ4K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  if (columns == 1) oneColumn(Q4_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q4_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
}

function multiplyQ5K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  if (columns == 1) oneColumn(Q5_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q5_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
}

function multiplyQ6K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  if (columns == 1) oneColumn(Q6_K, lanes, laneShift, inputs, outputs, scratch, kb, rows);
  else someColumns(Q6_K, lanes, laneShift, inputs, outputs, scratch, kb, rows, columns);
}
