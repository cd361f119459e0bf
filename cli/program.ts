import { Command } from 'commander';
import { agentCommand } from './commands/agent.js';
import { benchCommand } from './commands/bench.js';
import { bitstreamCommand } from './commands/bitstream.js';
import { boardsCommand } from './commands/boards.js';
import { chatCommand } from './commands/chat.js';
import { completionCommand } from './commands/completion.js';
import { consoleCommand } from './commands/console.js';
import { countersCommand } from './commands/counters.js';
import { deployCommand } from './commands/deploy.js';
import { doctorCommand } from './commands/doctor.js';
import { fleetCommand } from './commands/fleet.js';
import { inspectCommand } from './commands/inspect.js';
import { logsCommand } from './commands/logs.js';
import { modelsCommand } from './commands/models.js';
import { perplexityCommand } from './commands/perplexity.js';
import { provisionCommand } from './commands/provision.js';
import { quantizeCommand } from './commands/quantize.js';
import { regsCommand } from './commands/regs.js';
import { restartCommand } from './commands/restart.js';
import { runCommand } from './commands/run.js';
import { scoreCommand } from './commands/score.js';
import { selftestCommand } from './commands/selftest.js';
import { serveCommand } from './commands/serve.js';
import { statusCommand } from './commands/status.js';
import { topCommand } from './commands/top.js';
import { traceCommand } from './commands/trace.js';
import { uploadCommand } from './commands/upload.js';
import { EXAMPLES } from './examples.js';
import { EXIT } from './exit.js';
import { packageVersion } from './package-files.js';

/**
 * The whole command line. Definitions of commands stay light: `--version`, help and a wrong command load them all, so what a
 * command works with (sdk/, http-api/, agent/, bench/, zod) is imported inside its action.
 */
export function createProgram(): Command {
  const program = new Command('pynq-llm')
    .description(
      'Run quantised language models on Zynq boards with the SECDA-LLM MatMul core, or on a bit-exact mock of it.',
    )
    .version(packageVersion())
    .showHelpAfterError('(see --help)')
    .configureHelp({ showGlobalOptions: true });
  const groups: Readonly<Record<string, readonly Command[]>> = {
    'Run models:': [runCommand(), chatCommand(), scoreCommand(), perplexityCommand(), serveCommand()],
    'Models of a board:': [uploadCommand(), modelsCommand(), inspectCommand(), quantizeCommand()],
    'Several boards as one:': [fleetCommand()],
    'Look at a board:': [
      topCommand(),
      countersCommand(),
      regsCommand(),
      selftestCommand(),
      benchCommand(),
      traceCommand(),
    ],
    'Set up a board:': [
      deployCommand(),
      doctorCommand(),
      statusCommand(),
      logsCommand(),
      restartCommand(),
      boardsCommand(),
      provisionCommand(),
      consoleCommand(),
      bitstreamCommand(),
      agentCommand(),
    ],
    'This program:': [completionCommand(() => program)],
  };
  for (const [group, commands] of Object.entries(groups))
    for (const command of commands) program.addCommand(command.helpGroup(group));
  showExamples(program, '');
  for (const command of program.commands) showExamples(command, command.name());
  endWithUsageStatus(program);
  return program;
}

function showExamples(command: Command, name: string): void {
  const examples = EXAMPLES[name];
  if (examples !== undefined)
    command.addHelpText('after', `\nExamples:\n${examples.map((one) => `  ${one}`).join('\n')}`);
}

/** commander ends with status 1 on wrong usage; programs expect 2, apart from a failure of the work itself. */
function endWithUsageStatus(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  for (const child of command.commands) endWithUsageStatus(child);
}
