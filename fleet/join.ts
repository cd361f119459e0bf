import { hostname } from 'node:os';
import type { Bus } from '../bus/index.js';
import { isPynqLlmError } from '../errors/index.js';
import type { Log } from '../listen/index.js';
import { systemClock } from '../protocol/index.js';
import { type LinkPlace, openLinks } from './links/own-address.js';
import type { MemberAgent } from './member/agent-link.js';
import { Member } from './member/member.js';
import type { BoardLinks } from './member/tensor-run.js';

export { BOARDS_API } from './subjects.js';
export type { LinkPlace };

// What a board has of a fleet: nothing of the gateway is loaded with it.

/** A fleet that cannot be joined now is tried again after so long. */
const AGAIN_MS = 2_000;
/** A reason that stays is logged again after so long: a board may wait for its broker for days, with its log on a card. */
const SAY_AGAIN_MS = 600_000;

export interface JoinOptions {
  /** Connects to the fleet's broker. @throws PynqLlmError BUS_... */
  readonly bus: () => Promise<Bus>;
  readonly agent: MemberAgent;
  readonly log: Log;
  /** Of the board in its fleet: see boardName. */
  readonly name: string;
  /** See MemberOptions. */
  readonly soleName?: boolean;
  /** Where it lets in boards that compute models together with it, and the broker's machine; nowhere unless given. */
  readonly links?: { readonly place: LinkPlace; readonly broker: string } | undefined;
  /** As Member has it. */
  readonly leaseMs?: number | undefined;
}

/**
 * Makes an agent a member of a fleet, as soon as broker and device are there, and for as long as it runs. Disposing lets no
 * more requests in; those that the board has go on until the agent ends.
 */
export function joinFleet(options: JoinOptions): Disposable {
  const { bus, agent, log, name, soleName, leaseMs } = options;
  const leaving = new AbortController();
  void stay();
  return { [Symbol.dispose]: () => leaving.abort() };

  async function stay(): Promise<void> {
    let links: BoardLinks | undefined;
    let said: { readonly why: string; readonly at: number } | undefined;
    while (!leaving.signal.aborted) {
      let line: Bus | undefined;
      try {
        links ??= options.links && (await openLinks(options.links.place, options.links.broker));
        line = await bus();
        const member = await Member.join({ bus: line, name, agent, log, soleName, leaseMs, links });
        log.info({ board: name, bus: line.name }, 'joined the fleet');
        said = undefined;
        leaving.signal.addEventListener('abort', () => void member.drain(0), { once: true });
        if (leaving.signal.aborted) await member.drain(0);
        await member.lost;
        await member.close();
      } catch (err) {
        const now = performance.now();
        if (isPynqLlmError(err)) {
          if (said?.why !== err.what || now - said.at >= SAY_AGAIN_MS) {
            said = { why: err.what, at: now };
            log.warn({ board: name, error: err.message }, 'the fleet cannot be joined now, and is tried on');
          }
        } else log.error({ err }, 'unexpected error while a fleet was joined');
      }
      await line?.close().catch(() => undefined);
      await new Promise<void>((resolve) => systemClock.after(AGAIN_MS, resolve));
    }
    await links?.port.close();
  }
}

/** A board's name in its fleet. @param name the machine's unless given @throws PynqLlmError FLEET_BOARD_NAME */
export function boardName(name: string | undefined): string {
  const machine = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  const chosen = name ?? (machine === '' ? 'board' : machine);
  Member.requireName(chosen);
  return chosen;
}
