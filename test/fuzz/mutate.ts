import type { Dice } from '../load/workload.js';

export function randomBytes(dice: Dice, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, () => dice.below(256)));
}

/** Bytes with a few of them changed, left out, doubled or put in. */
export function mutated(dice: Dice, bytes: Uint8Array): Buffer {
  let out = Buffer.from(bytes);
  for (let i = dice.below(4) + 1; i > 0 && out.length > 0; i--) {
    const at = dice.below(out.length);
    const to = at + dice.below(Math.min(64, out.length - at)) + 1;
    const [head, part, tail] = [out.subarray(0, at), out.subarray(at, to), out.subarray(to)];
    const change = [
      () => [head, Buffer.from([out[at] ^ (1 << dice.below(8))]), out.subarray(at + 1)],
      () => [head, tail],
      () => [head, part, part, tail],
      () => [head, randomBytes(dice, dice.below(16) + 1), out.subarray(at)],
      () => [head],
    ];
    out = Buffer.concat(dice.pick(change)());
  }
  return out;
}

/** Cuts bytes into steps at random places. */
export function cut(dice: Dice, bytes: Uint8Array): Uint8Array[] {
  if (bytes.length < 2 || dice.below(2) === 0) return [bytes];
  const at = dice.below(bytes.length - 1) + 1;
  return [bytes.subarray(0, at), bytes.subarray(at)];
}
