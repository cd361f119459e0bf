import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './agent.js';
import { modelWithChatTemplate } from './chat-model.js';
import { cli } from './cli.js';

/** A folder with a chat model, and `chat` that answers lines with it. */
export function chatLines() {
  const directory = temporaryDirectory();
  const home = join(directory.path, 'home');
  const model = join(directory.path, 'chat.gguf');
  writeFileSync(
    model,
    modelWithChatTemplate(
      '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}',
    ),
  );
  const command = ['chat', '-m', model, '-n', '6', '--temp', '0'];
  const chat = (
    lines: readonly string[],
    args: readonly string[] = command,
    env: Readonly<Record<string, string>> = {},
  ) => cli(args, { home, env, input: `${lines.join('\n')}\n` });
  return { directory, home, model, command, chat };
}
