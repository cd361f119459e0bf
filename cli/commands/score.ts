import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import { pipedText } from '../files.js';
import {
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  modelOption,
  tokenIds,
  wholeNumber,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { Progress } from '../output/progress.js';
import { formatTable } from '../output/table.js';
import { formatTokens } from '../output/units.js';
import { openModel, withBoard } from '../session.js';

interface ScoreOptions extends DeviceOptions, LoadFlags {
  readonly model: string;
  readonly tokens?: number[];
  readonly top: number;
  readonly special?: boolean;
  readonly json?: boolean;
}

/** `score`: the model's log-probabilities along a given text. */
export function scoreCommand(): Command {
  const command = new Command('score')
    .description('Log-probabilities of a given text, and the likeliest next tokens after each position.')
    .addArgument(
      new Argument('[text]', 'the text, or what is piped in; the model adds its beginning-of-text token'),
    )
    .addOption(modelOption())
    .option('--tokens <ids>', 'token ids instead of text, such as 1,403,407; nothing is added', tokenIds)
    .option('--top <k>', 'how many of the likeliest tokens', wholeNumber(0, 64), 5)
    .option('--special', 'read control tokens in the text as tokens');
  withJson(withDevice(withLoad(command)), 'one JSON object {"tokens","logprobs","top"}');
  return command.action(async (text: string | undefined, options: ScoreOptions) => {
    const given = text ?? (options.tokens === undefined ? pipedText() : undefined);
    if ((given === undefined) === (options.tokens === undefined))
      throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Give either a text or --tokens.');
    await withBoard(options, async (board, signal) => {
      const model = await openModel(board, options.model, signal, loadSettings(options));
      const tokens =
        options.tokens ?? (await model.tokenize(given!, { parseSpecial: options.special ?? false }));
      using progress = new Progress('score', formatTokens);
      const { logprobs, top } = await model.score(tokens, {
        topLogprobs: options.top,
        signal,
        onProgress: (done, total) => progress.update(done, total),
      });
      progress.finish();
      if (options.json) return printText(`${harmlessJson({ tokens, logprobs, top })}\n`);
      const ids = [...new Set([...tokens, ...top.flat().map(([id]) => id)])];
      const texts = (await model.pieces(ids)).map((piece) => new TextDecoder().decode(piece));
      const pieces = new Map(ids.map((id, i) => [id, texts[i]]));
      const rows = tokens.map((id, i) => [
        String(i),
        String(id),
        harmlessJson(pieces.get(id)),
        logprobs[i]?.toFixed(4) ?? '',
        top[i]!.map(([next, logprob]) => `${harmlessJson(pieces.get(next))} ${logprob.toFixed(3)}`).join(
          '  ',
        ),
      ]);
      const headings = [
        { heading: '', right: true },
        { heading: 'id', right: true },
        { heading: 'text' },
        { heading: 'logprob', right: true },
        { heading: 'likeliest next' },
      ];
      printText(`${formatTable(headings, rows)}\n`);
    });
  });
}
