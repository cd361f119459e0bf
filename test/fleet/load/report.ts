import type { Outcome } from '../../load/answer.js';
import { growthAfterQuarter, MOST_GROWTH, type PartMemory } from './memory.js';

/** Of the requests whose clients wanted all, so many give it. */
const LEAST_WHOLE = 0.98;
/** The others end within this of the broker's stop, or while it is away. */
const OUTAGE_MS = 5_000;
const AWAY_MS = 1_000;
/** Mistakes that people read; the others are in the JSON. */
const MOST_SHOWN = 20;

/** A request that has ended. */
export interface Ended {
  readonly title: string;
  readonly outcome: Outcome;
  /** Times that it was not taken before, for too much to do, and asked again. */
  readonly refusals: number;
  /** By performance.now(). */
  readonly at: number;
}

/** When the broker was killed, and when it was there again. */
export interface Outage {
  readonly from: number;
  readonly to: number;
}

interface Observed {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  readonly ended: readonly Ended[];
  readonly outage: Outage | undefined;
  readonly kills: number;
  readonly memory: readonly PartMemory[];
  readonly counts: { readonly redelivered: number; readonly repeated: number; readonly tokens: number };
  readonly mistakes: readonly string[];
}

export interface FleetLoadReport extends Omit<Observed, 'ended' | 'memory' | 'outage'> {
  /** Requests that their clients did not give up; those of them that gave their whole text, and refusals before. */
  readonly requests: number;
  readonly whole: number;
  readonly refusals: number;
  /** Codes with which others ended. */
  readonly failed: Readonly<Record<string, number>>;
  readonly cancelled: number;
  readonly outageMs: number | undefined;
  readonly memory: readonly {
    readonly part: string;
    readonly firstMib: number;
    readonly lastMib: number;
    readonly growth: number | undefined;
    readonly samples: PartMemory['samples'];
  }[];
}

/** Adds up what was observed, and judges it. */
export function reportOf({ ended, memory, outage, ...rest }: Observed): FleetLoadReport {
  const mistakes = [...rest.mistakes];
  const wanted = ended.filter(({ outcome }) => outcome.kind !== 'cancelled');
  const whole = wanted.filter(({ outcome }) => outcome.kind === 'done').length;
  const failed: Record<string, number> = {};
  for (const { title, outcome, at } of wanted) {
    if (outcome.kind !== 'failed') continue;
    failed[outcome.code] = (failed[outcome.code] ?? 0) + 1;
    const ms = outage === undefined ? Number.NaN : at - outage.from;
    const isDuring = outage !== undefined && ms >= 0 && (ms <= OUTAGE_MS || at <= outage.to + AWAY_MS);
    if (!outcome.code.startsWith('FLEET_') || !isDuring)
      mistakes.push(
        `${title} failed with ${outcome.code}, ${(ms / 1_000).toFixed(1)} s after the broker's stop`,
      );
  }
  if (wanted.length === 0 || whole < LEAST_WHOLE * wanted.length)
    mistakes.push(`${whole} of ${wanted.length} requests gave their whole text`);
  const parts = memory.map((part) => {
    const growth = growthAfterQuarter(part);
    if (growth !== undefined && growth >= MOST_GROWTH)
      mistakes.push(`${part.part}: memory grew by ${percent(growth)} after the first quarter`);
    const [firstMib, lastMib] = [part.samples.at(0)?.mib ?? 0, part.samples.at(-1)?.mib ?? 0];
    return { part: part.part, firstMib, lastMib, growth, samples: part.samples };
  });
  return {
    ...rest,
    requests: wanted.length,
    whole,
    refusals: ended.reduce((sum, { refusals }) => sum + refusals, 0),
    failed,
    cancelled: ended.length - wanted.length,
    outageMs: outage === undefined ? undefined : outage.to - outage.from,
    memory: parts,
    mistakes,
  };
}

export function toText(report: FleetLoadReport): string {
  const { seconds, clients, requests, whole, refusals, cancelled, failed, kills, counts, mistakes } = report;
  const others = Object.entries(failed).map(([code, count]) => `${count} ${code}`);
  const lines = [
    `${clients} clients, ${seconds.toFixed(0)} s, ${kills} boards killed, the broker away for ${((report.outageMs ?? 0) / 1_000).toFixed(1)} s`,
    `${requests} requests: ${whole} gave their whole text (${percent(whole / requests)}), ${others.join(', ') || 'none failed'}; ${cancelled} more were given up by their clients, ${refusals} times one was told to ask again`,
    `${counts.tokens} tokens, ${counts.redelivered} times a request went on elsewhere, ${counts.repeated} tokens came twice`,
    ...report.memory.map(({ part, firstMib, lastMib, growth }) => {
      const how = growth === undefined ? 'too short to tell' : `${percent(growth)} after the first quarter`;
      return `${part}: ${firstMib.toFixed(1)} MiB at first, ${lastMib.toFixed(1)} at the end; ${how}`;
    }),
    ...mistakes.slice(0, MOST_SHOWN).map((mistake) => `MISTAKE: ${mistake}`),
  ];
  return `${lines.join('\n')}\n`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
