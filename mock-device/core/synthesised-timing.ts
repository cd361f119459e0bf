import { inputCycles, type TimedCore } from '../../board/index.js';
import { Q8K_BYTES } from '../../gguf/index.js';
import type { Monitors, Span } from '../monitors.js';
import { CoreTiming, type LoadTiming } from './timing.js';

const INPUT_WORDS = Q8K_BYTES / 4;
/** Cycles of an instruction that loads inputs, besides the load: opcode, CONFIG and end. */
const AROUND_INPUTS = 7;
/** Cycles that the loaders end later than those of the SystemC model, and what monitor 1 shows of a load besides its words. */
const LATER = 7;
const AROUND_WORDS = 9;
/** Cycles from the end of a load to the COMPUTE that follows it at once. */
const TO_COMPUTE = 2;

/**
 * The cycles of the core as it was synthesised in 2026. How long it computes is exact on hardware; the rest is a model: the
 * words of a load come one a cycle and lane, the unpacker works beside and may end later, and a COMPUTE waits for it in the
 * scheduler's start handshake. Where hardware was never asked, beyond the choices of CoreTiming:
 * - words that come late do not delay the unpacker;
 * - the monitors of weight and input loads, which the designs of 2026 lack, show a load as long as the load unit does.
 */
export class SynthesisedTiming extends CoreTiming {
  /** Cycle before which no COMPUTE that follows a load begins. */
  #unpackedAt = 0;
  readonly #core: TimedCore;

  constructor(core: TimedCore, monitors: Monitors, now: number) {
    super(core.revision, monitors, now);
    this.#core = core;
  }

  override inputs(now: number, blocks: number): LoadTiming {
    const load = super.inputs(now, blocks);
    const cycles = inputCycles(this.#core, blocks, 1) - AROUND_INPUTS;
    for (const span of load.stretched) lengthen(span, cycles - load.cycles);
    return { ...load, cycles, after: cycles - 1 - INPUT_WORDS * blocks };
  }

  override weights(now: number, words: number, headerAlone: boolean, unpackWait: number): LoadTiming {
    const load = super.weights(now, words, headerAlone, unpackWait);
    const [waiting, ...loading] = load.stretched;
    lengthen(waiting, LATER);
    for (const span of loading)
      if (span !== undefined) lengthen(span, words + AROUND_WORDS - (span.to - span.from));
    const cycles = load.cycles + LATER;
    this.#unpackedAt = now + cycles + unpackWait;
    return { ...load, cycles, after: load.after + LATER };
  }

  override compute(now: number, computing: number): { cycles: number; computing: Span | undefined } {
    const wait = Math.max(0, this.#unpackedAt + TO_COMPUTE - now);
    this.monitors.add('control-unit', 2, now, 3);
    this.monitors.add('control-unit', 5, now + 3, 1);
    this.monitors.add('control-unit', 6, now + 4, 1);
    this.monitors.add('scheduler', 2, now + 3, 1);
    this.monitors.add('scheduler', 31, now + 4, 2 + wait);
    this.monitors.add('scheduler', 32, now + 6 + wait, 2);
    this.monitors.add('scheduler', 4, now + 8 + wait, 8);
    const span = this.monitors.add('compute', 2, now + 8 + wait, computing);
    this.monitors.add('compute', 3, now + 8 + wait + computing, 3);
    return { cycles: computing + wait + (this.#core.revision === 'v4' ? 10 : 9), computing: span };
  }
}

function lengthen(span: Span | undefined, cycles: number): void {
  if (span === undefined) return;
  span.plannedEnd += cycles;
  span.to += cycles;
}
