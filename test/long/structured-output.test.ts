import { expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { characters, requireCharacter } from '../system/support/characters.js';

const AT_A_TIME = 20;

it('100 documents drawn at temperature 1 satisfy their schema', { timeout: 900_000 }, async () => {
  using store = temporaryDirectory();
  await using board = await connect('mock:', { storeDir: store.path });
  const model = await board.models.upload(TINY_MODEL);
  for (let first = 0; first < 100; first += AT_A_TIME) {
    const answers = await characters(model, AT_A_TIME, first);
    expect(answers).toHaveLength(AT_A_TIME);
    answers.forEach(requireCharacter);
  }
});
