import { agentCommand } from './commands/agent.js';
import { exitCodeOf, reportError } from './exit.js';

/**
 * The agent alone, as it runs on a board: scripts/build-bundle.mjs makes one file of this and all it imports.
 * The flags are those of `pynq-llm agent`.
 */
try {
  await agentCommand().parseAsync();
} catch (error) {
  reportError(error);
  process.exitCode = exitCodeOf(error);
}
