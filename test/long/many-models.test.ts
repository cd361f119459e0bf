import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { cli, cliAgent } from '../system/support/cli.js';

/** More than one answer lists, and than a store takes now. */
const MODELS = 1_300;
/** As agents stored them when they still took such names. */
const HOSTILE = 'a\u009b2Jb\u202ec';

it('lists a store of too many models with hostile names whole, harmless on a terminal and exact in JSON', async () => {
  using home = temporaryDirectory();
  mkdirSync(join(home.path, 'models'), { recursive: true });
  const digests = Array.from({ length: MODELS }, (_, i) => createHash('sha256').update(`${i}`).digest('hex'));
  for (const digest of digests) writeFileSync(join(home.path, 'models', `${digest}.gguf`), 'x');
  const names = Object.fromEntries([
    ...digests.map((digest, i) => [`model ${i}`, digest]),
    [HOSTILE, digests[7]],
  ]);
  writeFileSync(join(home.path, 'names.json'), JSON.stringify({ version: 1, names }));
  await using agent = await cliAgent(home.path);
  await using board = await connect(agent.url);

  const listed = await board.models.list();
  expect(listed.map(({ digest }) => digest)).toEqual(digests.toSorted());
  expect((await board.models.get('model 1299')).digest).toBe(digests[1299]);
  expect((await board.models.get(HOSTILE)).names).toEqual(['model 7', HOSTILE]);
  await expect(board.models.get('no such')).rejects.toMatchObject({
    code: 'AGENT_MODEL_UNKNOWN',
    message: expect.stringMatching(/^.{50,1000}, and more\..*$/),
  });

  const http = await fetch(`${agent.url.replace(/^ws/, 'http')}/v1/models`);
  const { data } = JSON.parse(await http.text());
  expect(data).toHaveLength(MODELS + 1);
  const one = await fetch(`${agent.url.replace(/^ws/, 'http')}/v1/models/model%2012`);
  expect(JSON.parse(await one.text())).toMatchObject({
    id: 'model 12',
    object: 'model',
    digest: digests[12],
  });

  const options = { home: home.path };
  const table = await cli(['models', '--device', agent.url], options);
  expect(table.stdout).toContain('model 7, a\\u{9b}2Jb\\u{202e}c');
  expect(table.stdout).toMatch(/^[\x20-\x7e\n]+$/);
  const json = await cli(['models', '--json', '--device', agent.url], options);
  expect(json.stdout).toMatch(/^[\x20-\x7e\n]+$/);
  expect(JSON.parse(json.stdout)).toEqual(listed);
  const unknown = await cli(['models', 'load', `x${HOSTILE}`, '--device', agent.url], options);
  expect(unknown.stderr).toMatch(/^pynq-llm: [\x20-\x7e]+\n$/);
});
