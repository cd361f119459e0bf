import { describeShares } from '../unit/llm/scheduling/users.js';

// One request at a time uses a column of each step, however few others the step has: beside long prompts that is less.
describeShares(
  [
    ['under one name', 'one request at a time'],
    ['under one name', 'more to do than there is room for'],
    ['under one name', 'various demands'],
    ['that calls itself anew with every request', 'one request at a time'],
    ['that calls itself anew with every request', 'various demands'],
    ['in a hundred sessions', 'more to do than there is room for'],
    ['with long answers', 'a request each half minute'],
    ['with long answers', 'more to do than there is room for'],
    ['with long prompts', 'a request each half minute'],
    ['with long prompts', 'more to do than there is room for'],
    ['with long prompts', 'a request each minute'],
    ['with the highest priority', 'one request at a time'],
    ['with the highest priority', 'more to do than there is room for'],
  ],
  [2, 5],
);
