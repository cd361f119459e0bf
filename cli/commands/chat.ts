import { Command } from 'commander';
import { EXIT, reportNotice } from '../exit.js';
import {
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  modelOption,
  withDevice,
  withLoad,
} from '../options.js';
import { type GenerationFlags, withGeneration } from '../sampling-options.js';
import { openModel, withBoard } from '../session.js';

interface ChatCommandOptions extends DeviceOptions, LoadFlags, GenerationFlags {
  readonly model: string;
  readonly system?: string;
}

/** `chat`: a conversation at the terminal; without a terminal lines in, answers out. */
export function chatCommand(): Command {
  const command = new Command('chat')
    .description('Talk with a model: history, /commands, timing. Ctrl-C ends an answer, Ctrl-D the chat.')
    .addOption(modelOption())
    .option('--system <text>', 'the system message');
  return withDevice(withLoad(withGeneration(command))).action(async (options: ChatCommandOptions) => {
    const [{ Chat, completeLine }, { History }, { pipedLines, typedLines }] = await Promise.all([
      import('../chat/chat.js'),
      import('../chat/history.js'),
      import('../chat/line-source.js'),
    ]);
    await withBoard(options, async (board, signal) => {
      const model = await openModel(board, options.model, signal, loadSettings(options));
      const interactive = process.stdin.isTTY && process.stdout.isTTY;
      const chat = new Chat(model, {
        flags: options,
        system: options.system,
        interactive,
        signal,
        openDraft: (name, ended) => openModel(board, name, ended),
      });
      await chat.prepare();
      if (!model.info.hasChatTemplate)
        reportNotice('The model has no chat template: it continues the text instead of answering.');
      if (!interactive) {
        await chat.run(pipedLines(process.stdin));
        if (signal.aborted) process.exitCode = EXIT.interrupted;
        return;
      }
      reportNotice(`${model.info.name} on ${board.info.device}. /help lists commands, Ctrl-D or /quit ends.`);
      const hint = () => reportNotice('Ctrl-D or /quit ends the chat.');
      // Ctrl-C is for the answer here, not for the program.
      process.removeAllListeners('SIGINT');
      process.on('SIGINT', () => {
        const was = chat.cancelAnswer();
        if (was === 'none') hint();
        // An agent that hangs does not end its answer.
        if (was === 'again') process.exit(EXIT.interrupted);
      });
      await chat.run(typedLines('> ', new History(), hint, completeLine));
    });
  });
}
