import { Argument, Command } from 'commander';
import { completionScript, SHELLS, type Shell } from '../completion/scripts.js';
import { completedCommand } from '../completion/tree.js';

/** `completion`: what makes a shell complete this command line. */
export function completionCommand(program: () => Command): Command {
  return new Command('completion')
    .description('Print a script that makes a shell complete commands, flags and files.')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell, completedCommand(program())));
    });
}
