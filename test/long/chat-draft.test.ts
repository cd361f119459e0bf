import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { chatLines } from '../system/support/chat-lines.js';
import { modelWithOtherVocabulary } from '../system/support/chat-model.js';

const { directory, command: CHAT, chat } = chatLines();
const DRAFT = 'models/tiny-stories-Q2_K.gguf';

afterAll(() => directory[Symbol.dispose]());

it('chat drafts with the model of --model-draft or of /set', async () => {
  const plain = await chat(['Once upon a time']);
  const drafted = await chat(['Once upon a time'], [...CHAT, '--model-draft', DRAFT]);
  expect(drafted).toMatchObject({ status: 0, stdout: plain.stdout });
  // One that cannot draft for it shows that it is the one asked.
  const other = join(directory.path, 'other-vocabulary.gguf');
  writeFileSync(other, modelWithOtherVocabulary());
  const refused = await chat(['Once upon a time'], [...CHAT, '--model-draft', other]);
  expect(refused).toMatchObject({ status: 1, stdout: '' });
  expect(refused.stderr).toMatch(/LLM_DRAFT_MODEL/);
  const set = await chat(['Once upon a time', `/set model-draft ${other}`, '/retry']);
  expect(set).toMatchObject({ status: 1, stdout: plain.stdout });
  expect(set.stderr).toMatch(/LLM_DRAFT_MODEL/);
  const back = await chat(
    ['/set model-draft default', 'Once upon a time'],
    [...CHAT, '--model-draft', other],
  );
  expect(back).toMatchObject({ status: 0, stdout: plain.stdout });
  const unknown = await chat([], [...CHAT, '--model-draft', 'no-such-model']);
  expect(unknown.status).toBe(1);
  expect(unknown.stderr).toMatch(/"no-such-model" is neither a file/);
});
