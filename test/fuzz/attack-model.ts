import { planOnBoard, readModelToPlan } from '../../agent/plan-on-board.js';
import { isPynqLlmError } from '../../errors/index.js';
import { type ByteSource, bytesSource, openGguf } from '../../gguf/index.js';
import { Engine } from '../../llm/engine/engine.js';
import { loadModel } from '../../llm/model/load-model.js';

const TOKENS = [1, 2, 3];
const CONTEXT = 64;

/** What became of a hostile model: the code of the error that it ended in, or that it ran. */
export type Outcome = string;

/**
 * Plans, loads and runs a model file as an agent does, without a core.
 * @returns a code, or "runs"
 * @throws whatever is no error of this package
 */
export function attackModel(bytes: Uint8Array): Outcome {
  const source = frugal(bytes);
  try {
    const plan = readModelToPlan(source);
    planOnBoard(plan, 'pynq-z1', {});
    const contextLength = Math.min(CONTEXT, plan.model.trainedContext);
    const model = loadModel(openGguf(source), { contextLength, maxColumns: 4 });
    try {
      return runs(new Engine(model));
    } finally {
      model.close();
    }
  } catch (error) {
    if (isPynqLlmError(error)) return error.code;
    throw error;
  }
}

function runs(engine: Engine): Outcome {
  let failure: unknown;
  engine.submit(
    { prompt: TOKENS, maxTokens: 2, sampling: { temperature: 0 } },
    {
      onToken: () => {},
      onDone: () => {},
      onError: (error) => {
        failure = error;
      },
    },
  );
  while (engine.hasWork) engine.step();
  if (failure !== undefined) throw failure;
  return 'runs';
}

/** What a header makes a reader fetch is bound by the file. */
function frugal(bytes: Uint8Array): ByteSource {
  const source = bytesSource(bytes);
  return {
    size: source.size,
    readInto: (offset, into) => {
      if (into.length > bytes.length) throw new Error(`${into.length} bytes were asked for at once`);
      source.readInto(offset, into);
    },
  };
}
