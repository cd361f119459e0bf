import { setTimeout as delay } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import { type DeviceOptions, wholeNumber, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { withFleet } from '../session.js';

const LOOK_MS = 200;
const WAIT_S = 600;

interface DrainFlags extends DeviceOptions {
  readonly undo?: boolean;
  readonly json?: boolean;
  readonly wait?: number | true;
}

/** `fleet drain`: takes a board out of work. */
export function fleetDrainCommand(): Command {
  const command = new Command('drain')
    .description(
      'Have a board of a fleet take no more requests; what it has it ends. That lasts until --undo, or until its agent is started again. Needs the role admin.',
    )
    .argument('<board>', 'its name in the fleet')
    .option('--undo', 'have it take requests again')
    .addOption(
      new Option('--wait [seconds]', `wait until it has nothing any more; at most ${WAIT_S} s unless told`)
        .argParser(wholeNumber(1, 86_400))
        .conflicts('undo'),
    );
  return withJson(withDevice(command), 'one JSON object').action(async (name: string, flags: DrainFlags) => {
    const { undo = false, wait, json, ...options } = flags;
    const print = (inHand: number, text: string) =>
      printText(json ? `${harmlessJson({ board: name, draining: !undo, inHand })}\n` : `${name} ${text}\n`);
    await withFleet(options, async (fleet, signal) => {
      const { inHand } = await fleet.fleetDrain(name, { undo });
      if (undo) return print(inHand, 'takes requests again');
      if (wait === undefined) return print(inHand, `takes no more requests, and has ${inHand}`);
      const seconds = wait === true ? WAIT_S : wait;
      for (const end = performance.now() + seconds * 1_000; ; await delay(LOOK_MS, undefined, { signal })) {
        const board = (await fleet.fleetStatus()).boards.find((one) => one.name === name);
        // One that has left has nothing either.
        if (board === undefined || board.inHand === 0) return print(0, 'has no requests any more');
        if (performance.now() > end)
          throw new PynqLlmError(
            'FLEET_DRAIN_SLOW',
            `${name} has ${board.inHand} requests after ${seconds} s.`,
            {
              context: { inHand: board.inHand },
            },
          );
      }
    });
  });
}
