import { decodeHalves, encodeHalves, halfToFloat } from '../../gguf/assembly/half';
import { quantizeAbove, quantizeAround, quantizeIQ4NL, quantizeIQ4XS, quantizeQ80 } from './small-blocks';
import { quantizeQ2K, quantizeQ3K, quantizeQ4K, quantizeQ5K, quantizeQ6K, SUPER_BLOCK } from './super-blocks';

/**
 * Stores rows of finite float32 in a type of a file, by ggml's number of it.
 *
 * @param importance 0, or the address of `columns` weights that hold for every row
 * @returns whether there is such a type
 */
export function quantizeRows(
  type: i32,
  values: usize,
  importance: usize,
  columns: i32,
  rows: i32,
  to: usize,
): bool {
  for (let row = 0; row < rows; row++, values += <usize>columns << 2) {
    switch (type) {
      case 0:
        memory.copy(to, values, <usize>columns << 2);
        to += <usize>columns << 2;
        break;
      case 1:
        encodeHalves(values, to, columns);
        to += <usize>columns << 1;
        break;
      case 2:
      case 6:
        to = quantizeAround(values, importance, columns, type == 2 ? 8 : 16, to);
        break;
      case 3:
      case 7:
        to = quantizeAbove(values, importance, columns, type == 3 ? 15 : 31, to);
        break;
      case 8:
        to = quantizeQ80(values, columns, to);
        break;
      case 20:
        to = quantizeIQ4NL(values, importance, columns, to);
        break;
      case 30:
        encodeBfloats(values, to, columns);
        to += <usize>columns << 1;
        break;
      default: {
        const blockBytes = superBlockBytes(type);
        if (blockBytes == 0) return false;
        for (let from = 0; from < columns; from += SUPER_BLOCK, to += blockBytes) {
          const block = <usize>from << 2;
          quantizeSuperBlock(type, values + block, importance != 0 ? importance + block : 0, to);
        }
      }
    }
  }
  return true;
}

function superBlockBytes(type: i32): usize {
  switch (type) {
    case 10:
      return 84;
    case 11:
      return 110;
    case 12:
      return 144;
    case 13:
      return 176;
    case 14:
      return 210;
    case 23:
      return 136;
    default:
      return 0;
  }
}

function quantizeSuperBlock(type: i32, values: usize, importance: usize, to: usize): void {
  switch (type) {
    case 10:
      return quantizeQ2K(values, importance, to);
    case 11:
      return quantizeQ3K(values, importance, to);
    case 12:
      return quantizeQ4K(values, importance, to);
    case 13:
      return quantizeQ5K(values, importance, to);
    case 14:
      return quantizeQ6K(values, importance, to);
    default:
      return quantizeIQ4XS(values, importance, to);
  }
}

/** `count` values stored as F32 (0), F16 (1), Q8_0 (8) or BF16 (30), by ggml's number, to float32. @returns the largest exponent, in place */
export function toFloats(type: i32, from: usize, to: usize, count: i32): u32 {
  if (type == 0) memory.copy(to, from, <usize>count << 2);
  else if (type == 1) decodeHalves(from, to, count);
  else if (type == 30)
    for (let i = 0; i < count; i++)
      store<u32>(to + (<usize>i << 2), <u32>load<u16>(from + (<usize>i << 1)) << 16);
  else
    for (let i = 0; i < count; i += 32, from += 34) {
      const d = halfToFloat(load<u16>(from));
      for (let j = 0; j < 32; j++)
        store<f32>(to + (<usize>(i + j) << 2), d * <f32>load<i8>(from + 2 + j));
    }
  let largest: u32 = 0;
  for (let i = 0; i < count; i++) {
    const exponent = load<u32>(to + (<usize>i << 2)) & 0x7f800000;
    if (exponent > largest) largest = exponent;
  }
  return largest;
}

/** To nearest, halves to even. */
function encodeBfloats(from: usize, to: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const bits = load<u32>(from + (<usize>i << 2));
    store<u16>(to + (<usize>i << 1), <u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
  }
}
