import { describe, expect, it } from 'vitest';
import { contents } from '../board/contents.js';
import { bitMismatches, bytesOf, Poker, readJson } from './harness.js';

type Step =
  | { readonly op: 'send'; readonly dma: number; readonly words: string }
  | { readonly op: 'run'; readonly cycles: number };
interface Scenario {
  readonly name: string;
  readonly ver: 1 | 3;
  readonly wgt_type: number;
  readonly steps: readonly Step[];
  readonly expect: readonly (readonly [string, 0 | 1])[];
  readonly regs: readonly number[];
}

const scenarios = readJson<readonly Scenario[]>('streams.json');
const words = (hex: string): number[] => hex.split(' ').map((word) => Number.parseInt(word, 16));

/** The expected words, cut after each TLAST. */
function packets({ expect: pairs }: Scenario): number[][] {
  const all: number[][] = [[]];
  for (const [word, last] of pairs) {
    all.at(-1)?.push(Number.parseInt(word, 16));
    if (last === 1) all.push([]);
  }
  return all.filter(({ length }) => length > 0);
}

describe('word streams', () => {
  it.each(scenarios)('$name, v$ver, type $wgt_type: words, TLAST and final status are exact', (scenario) => {
    const poker = new Poker(scenario.ver === 1 ? 'v1' : 'v3');
    const expected = packets(scenario);
    const received: Uint32Array[] = [];
    // Room for far more than any packet: LENGTH then tells where TLAST came.
    let room = poker.arm(4096);
    const collect = (): void => {
      while (poker.received(1)) {
        room.giveToCpu();
        received.push(new Uint32Array(contents(room, 0, poker.read(0, 'S2MM_LENGTH')).buffer));
        room = poker.arm(4096);
      }
    };
    for (const step of scenario.steps) {
      if (step.op === 'send') poker.send(step.dma, bytesOf(words(step.words)));
      else for (let us = 0; us < step.cycles / 100; us++) collect();
    }
    expect(received.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
    for (const [i, packet] of received.entries())
      expect(bitMismatches(packet, Uint32Array.from(expected[i]))).toBe(0);
    expect(poker.status()).toEqual(scenario.regs);
    poker.board.close();
  });
});
