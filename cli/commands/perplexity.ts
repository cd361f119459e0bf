import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import { isPipedInto, readFile } from '../files.js';
import {
  type DeviceOptions,
  kvMemoryOption,
  kvTypeOption,
  type LoadFlags,
  loadSettings,
  modelOption,
  wholeNumber,
  withDevice,
  withJson,
} from '../options.js';
import { printText } from '../output/print.js';
import { Progress } from '../output/progress.js';
import { formatFacts } from '../output/table.js';
import { formatTokens } from '../output/units.js';
import { openModel, withBoard } from '../session.js';

interface PerplexityOptions extends DeviceOptions, LoadFlags {
  readonly model: string;
  readonly json?: boolean;
}

/** `perplexity`: how well a model predicts a text file. */
export function perplexityCommand(): Command {
  const command = new Command('perplexity')
    .description(
      'Perplexity of a model on a text: lower is better. The text is cut into windows of the context length.',
    )
    .addArgument(new Argument('[file]', 'a text file (UTF-8); - for standard input, as is what is piped in'))
    .addOption(modelOption())
    .option('-c, --ctx-size <n>', "tokens of a window; the model's own context when left out", wholeNumber(2))
    .addOption(kvTypeOption())
    .addOption(kvMemoryOption());
  withJson(withDevice(command), 'one JSON object {"perplexity","meanLogprob","tokens","windows"}');
  return command.action(async (file: string | undefined, options: PerplexityOptions) => {
    if (file === undefined && !isPipedInto())
      throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Give a file, or pipe a text in.');
    const text = readFile(file ?? '-').toString('utf8');
    await withBoard(options, async (board, signal) => {
      const model = await openModel(board, options.model, signal, loadSettings(options));
      using progress = new Progress('score', formatTokens);
      const result = await model.perplexity(text, {
        signal,
        onProgress: (done, total) => progress.update(done, total),
      });
      progress.finish();
      if (options.json) return printText(`${harmlessJson(result)}\n`);
      printText(
        `${formatFacts([
          ['perplexity', result.perplexity.toFixed(4)],
          ['mean log-probability', result.meanLogprob.toFixed(5)],
          ['tokens scored', String(result.tokens)],
          ['windows', String(result.windows)],
        ])}\n`,
      );
    });
  });
}
