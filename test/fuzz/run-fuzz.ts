import { setTimeout as delay } from 'node:timers/promises';
import type { BoardClient } from '../../sdk/index.js';
import { dial } from '../system/hostile/support/dial.js';
import {
  inTime,
  startVictim,
  titleOf,
  type Victim,
  type VictimKind,
} from '../system/hostile/support/victim.js';
import { fuzzCase } from './cases.js';

const KINDS: readonly VictimKind[] = [
  { program: 'agent', over: 'tcp', tokens: true },
  { program: 'agent', over: 'tls', tokens: true },
  // Wrong tokens there are everybody's.
  { program: 'agent', over: 'unix', tokens: false },
  { program: 'serve', over: 'tcp', tokens: true },
];
const BATCH = 96;
const LANES = 4;
/** What comes after so long is not waited for. */
const ANSWER_MS = 25;
const SEND_MS = 1_000;
/** A client that is known is answered within this time. */
const HEALTH_MS = 5_000;
/** What a server may have more than it had before the first case. */
const MORE_MIB = 160;

export interface FuzzOptions {
  readonly seed: number;
  /** The first case. */
  readonly first: number;
  /** So long, or so many cases. */
  readonly until: { readonly seconds: number } | { readonly cases: number };
  readonly say: (text: string) => void;
}

export interface FuzzReport {
  readonly seed: number;
  readonly cases: number;
  /** By what the cases were. */
  readonly kinds: Readonly<Record<string, number>>;
  /** What went wrong first, with how to see it again. */
  readonly mistake: string | undefined;
  readonly grownMib: Readonly<Record<string, number>>;
}

/** A server under fuzz and a client that was let in before. */
interface Target {
  readonly victim: Victim;
  readonly known: BoardClient | undefined;
  readonly mibBefore: number;
}

/** Sends case after case to all servers in turn, and looks after each batch whether they are as they were. */
export async function runFuzz({ seed, first, until, say }: FuzzOptions): Promise<FuzzReport> {
  say(`seed ${seed}, from case ${first}`);
  const targets = await Promise.all(KINDS.map(aim));
  const kinds: Record<string, number> = {};
  const end = 'seconds' in until ? performance.now() + until.seconds * 1_000 : Number.POSITIVE_INFINITY;
  const last = 'cases' in until ? first + until.cases : Number.POSITIVE_INFINITY;
  let next = first;
  let mistake: string | undefined;
  let grownMib: Record<string, number> = {};
  try {
    while (mistake === undefined && next < last && performance.now() < end) {
      const from = next;
      const to = Math.min(last, from + BATCH);
      const lane = async (number: number) => {
        while (next < to && performance.now() < end) {
          const index = next++;
          const { title } = fuzzCase(seed, index);
          kinds[title] = (kinds[title] ?? 0) + 1;
          await attack(targets[index % targets.length].victim, seed, index, number);
        }
      };
      await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
      const wrong = await firstMistake(targets);
      if (wrong === undefined) continue;
      const again = `npm run test:fuzz -- --seed ${seed} --first ${from} --cases ${next - from}`;
      say(`${wrong}\nlooking for the case; all of them: ${again}`);
      mistake = `${wrong}\nseed ${seed}, ${await guilty(seed, from, next)}; see it again: ${again}`;
    }
    grownMib = Object.fromEntries(
      targets.map(({ victim, mibBefore }) => [
        titleOf(victim.kind),
        Math.round(victim.residentMib() - mibBefore),
      ]),
    );
  } finally {
    await Promise.all(targets.map(leave));
  }
  return { seed, cases: next - first, kinds, mistake, grownMib };
}

async function aim(kind: VictimKind): Promise<Target> {
  const victim = await startVictim(kind, kind.program === 'agent' ? { more: ['--log-level', 'warn'] } : {});
  const known = kind.program === 'agent' ? await victim.enter() : undefined;
  await victim.isWell();
  return { victim, known, mibBefore: victim.residentMib() };
}

async function leave({ victim, known }: Target): Promise<void> {
  await known?.close();
  await victim[Symbol.asyncDispose]();
}

/** One case against one server; whatever it answers is right. */
async function attack(victim: Victim, seed: number, index: number, lane: number): Promise<void> {
  const { title, steps, wrongLayer, ending } = fuzzCase(seed, index);
  const tls = victim.kind.over === 'tls' ? !wrongLayer : wrongLayer;
  // Wrong tokens lock an address out: those whose tokens are right come from others.
  const from = `127.0.0.${(title.startsWith('protocol') ? 6 : 2) + lane}`;
  using stranger = await dial(victim.place, { from, tls });
  for (const step of steps) {
    const before = stranger.heard().length;
    const sent = await Promise.race([stranger.send(step), delay(SEND_MS, false)]);
    if (!sent) return;
    await stranger.answered(ANSWER_MS, before);
  }
  if (ending === 'reset') stranger.reset();
  if (ending === 'half-close') {
    stranger.socket.end();
    await stranger.closed(ANSWER_MS);
  }
  if (ending === 'unread') {
    stranger.socket.pause();
    await stranger.send(steps[0]);
  }
}

async function firstMistake(targets: readonly Target[]): Promise<string | undefined> {
  for (const target of targets) {
    const mistake = await mistakeOf(target);
    if (mistake !== undefined) return `${titleOf(target.victim.kind)}: ${mistake}`;
  }
  return undefined;
}

async function mistakeOf({ victim, known, mibBefore }: Target): Promise<string | undefined> {
  try {
    victim.isUnhurt();
    if (known !== undefined) await inTime(known.health(), 'a known client was not answered', HEALTH_MS);
    await victim.isWell();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const grown = victim.residentMib() - mibBefore;
  return grown > MORE_MIB ? `its memory grew by ${Math.round(grown)} MiB` : undefined;
}

/** Which case of the batch does it alone to a fresh server. */
async function guilty(seed: number, from: number, to: number): Promise<string> {
  for (let index = from; index < to; index++) {
    const target = await aim(KINDS[index % KINDS.length]);
    try {
      await attack(target.victim, seed, index, 0);
      await delay(ANSWER_MS);
      const mistake = await mistakeOf(target);
      if (mistake !== undefined)
        return `case ${index} (${fuzzCase(seed, index).title}) does it alone: ${mistake}`;
    } finally {
      await leave(target);
    }
  }
  return `cases ${from} to ${to - 1} do it together, none of them alone`;
}
