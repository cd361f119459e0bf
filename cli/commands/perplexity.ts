import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { Perplexity } from '../../sdk/index.js';
import { isPipedInto, readFile } from '../files.js';
import {
  coreTypesOption,
  type DeviceOptions,
  exactTypesOption,
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
  readonly against?: string;
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
    .option(
      '--against <model>',
      'a second model of the same vocabulary, such as what the first was quantised from: both are measured, one after the other',
    )
    .option('-c, --ctx-size <n>', "tokens of a window; the model's own context when left out", wholeNumber(2))
    .addOption(kvTypeOption())
    .addOption(kvMemoryOption())
    .addOption(coreTypesOption())
    .addOption(exactTypesOption());
  withJson(
    withDevice(command),
    'one JSON object {"perplexity","meanLogprob","tokens","windows"}, with --against also "against" with the same of the other, and "ratio"',
  );
  return command.action(async (file: string | undefined, options: PerplexityOptions) => {
    if (file === undefined && !isPipedInto())
      throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Give a file, or pipe a text in.');
    const text = readFile(file ?? '-').toString('utf8');
    await withBoard(options, async (board, signal) => {
      const measure = async (name: string): Promise<Perplexity> => {
        const model = await openModel(board, name, signal, loadSettings(options));
        using progress = new Progress('score', formatTokens);
        const result = await model.perplexity(text, {
          signal,
          onProgress: (done, total) => progress.update(done, total),
        });
        progress.finish();
        // A board has room for one of them.
        if (options.against !== undefined) await model.unload();
        return result;
      };
      const first = await measure(options.model);
      const second = options.against === undefined ? undefined : await measure(options.against);
      // Other windows are other texts.
      if (second !== undefined && first.tokens !== second.tokens)
        throw new PynqLlmError(
          'CLI_BAD_ARGUMENT',
          `${options.model} scores ${first.tokens} tokens of the text, ${options.against} ${second.tokens}: their vocabularies or contexts differ.`,
        );
      print(options, first, second);
    });
  });
}

function print({ json }: PerplexityOptions, first: Perplexity, against?: Perplexity): void {
  const ratio = against && first.perplexity / against.perplexity;
  if (json) {
    printText(`${harmlessJson({ ...first, ...(against && { against, ratio }) })}\n`);
    return;
  }
  const column = (text: (of: Perplexity) => string) =>
    against === undefined ? text(first) : `${text(first)} against ${text(against)}`;
  const facts: [string, string][] = [
    ['perplexity', column(({ perplexity }) => perplexity.toFixed(4))],
    ['mean log-probability', column(({ meanLogprob }) => meanLogprob.toFixed(5))],
    ['tokens scored', String(first.tokens)],
    ['windows', String(first.windows)],
  ];
  if (ratio !== undefined) facts.splice(1, 0, ['ratio', ratio.toFixed(5)]);
  printText(`${formatFacts(facts)}\n`);
}
