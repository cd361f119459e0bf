import { homedir } from 'node:os';
import { z } from 'zod';
import { optionsOf, requireArguments } from '../arguments.js';
import { BOARD_CHECKS } from './board.js';
import { BROKER_CHECKS } from './broker.js';
import { type Check, type CheckGroup, type Finding, failure } from './check.js';
import { CONNECTION_CHECKS } from './connection.js';
import { CORE_CHECKS } from './core.js';
import { LAPTOP_CHECKS } from './laptop.js';
import { DoctorSession, type Examination, type Laptop } from './session.js';
import { parseTarget } from './target.js';

/** One line of an examination. */
export interface CheckReport extends Finding {
  /** Part of the way that was looked at. */
  readonly group: CheckGroup;
  /** What was looked at. */
  readonly name: string;
  /** Milliseconds that it took. */
  readonly durationMs: number;
}

const ARGUMENTS = z.object({
  url: z.string(),
  options: optionsOf({ vectors: z.string(), model: z.string(), signal: z.instanceof(AbortSignal) }),
});

const CHECKS: readonly Check<DoctorSession>[] = [
  ...LAPTOP_CHECKS,
  ...CONNECTION_CHECKS,
  ...BOARD_CHECKS,
  ...BROKER_CHECKS,
  ...CORE_CHECKS,
];

/**
 * Examines the way from this computer to a board's core, one check after the other; each is reported as soon as it is
 * made. What a failed check makes impossible is skipped with the reason.
 * @param url as `connect` takes it
 * @param laptop this computer; its facts unless given
 * @throws PynqLlmError SDK_URL; what is wrong otherwise is a report
 */
export async function* examine(
  url: string,
  options: Examination,
  laptop: Laptop = thisLaptop(),
): AsyncGenerator<CheckReport, void, void> {
  requireArguments({ url, options }, ARGUMENTS);
  await using session = new DoctorSession(parseTarget(url), laptop, options);
  for (const check of CHECKS) {
    const started = performance.now();
    const finding = await runCheck(check, session);
    if (finding === undefined) continue;
    const { group, name } = check;
    yield { group, name, ...finding, durationMs: performance.now() - started };
  }
}

async function runCheck(check: Check<DoctorSession>, session: DoctorSession): Promise<Finding | undefined> {
  try {
    return await check.run(session);
  } catch (error) {
    session.options.signal.throwIfAborted();
    return failure(error);
  }
}

function thisLaptop(): Laptop {
  return {
    nodeVersion: process.versions.node,
    home: homedir(),
    sshAgentSocket: process.env.SSH_AUTH_SOCK,
  };
}
