// Streams a story from a model that is uploaded to a board, and says what it cost.
// node examples/story.mjs [DEVICE]
import { fileURLToPath } from 'node:url';
import { connect } from 'pynq-llm';

const model = fileURLToPath(new URL('../models/tiny-stories-Q3_K_M.gguf', import.meta.url));
const board = await connect(process.argv[2] ?? 'mock:');
try {
  // Sends only what the board does not have.
  const stories = await board.models.upload(model);
  const story = stories.generate('Once upon a time', { maxTokens: 60, temperature: 0.8, seed: 1 });
  for await (const token of story) process.stdout.write(token.text);
  const { reason, counters } = await story.done;
  console.log(`\n\nended by ${reason}; ${counters.coreCycles} core cycles`);
} finally {
  await board.close();
}
