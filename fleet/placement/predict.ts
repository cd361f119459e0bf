import type { BoardView } from './board-view.js';

/** What a request would get on a board, in milliseconds from now. */
export interface Prediction {
  /** Its first token. */
  readonly firstTokenMs: number;
  /** Of that its own prompt. */
  readonly promptMs: number;
}

/**
 * What a request would get behind all that a board has in hand: one prompt after the other, each beside the tokens of those that
 * generate, and with all places taken whoever is next waits for an answer's end, as far as that can be known.
 * @param prompt tokens that the board would have to compute
 */
export function predict({ work, stepMs, promptColumns, places }: BoardView, prompt: number): Prediction {
  const answers = work.filter(({ promptLeft }) => promptLeft === 0).map(({ expectedLeft }) => expectedLeft);
  let ms = 0;
  const pass = (steps: number, columns: number) => {
    ms += steps * stepMs(answers.length + columns, answers.length);
    for (let i = answers.length - 1; i >= 0; i--) {
      answers[i]! -= steps;
      if (answers[i]! <= 0) answers.splice(i, 1);
    }
  };
  const compute = (promptLeft: number) => {
    while (answers.length >= places) pass(Math.max(1, Math.ceil(Math.min(...answers))), 0);
    const steps = Math.ceil(promptLeft / promptColumns);
    pass(steps, Math.ceil(promptLeft / steps));
  };
  for (const { promptLeft, expectedLeft } of work) {
    if (promptLeft === 0) continue;
    compute(promptLeft);
    answers.push(expectedLeft);
  }
  const before = ms;
  compute(prompt);
  return { firstTokenMs: ms, promptMs: ms - before };
}
