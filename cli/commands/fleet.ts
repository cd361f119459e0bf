import { Command } from 'commander';
import { fleetAdviseCommand } from './fleet-advise.js';
import { fleetPlanCommand } from './fleet-plan.js';

/** `fleet`: several boards as one. */
export function fleetCommand(): Command {
  return new Command('fleet')
    .description('Several boards as one.')
    .addCommand(fleetPlanCommand())
    .addCommand(fleetAdviseCommand());
}
