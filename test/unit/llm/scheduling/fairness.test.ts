import { describeShares } from './users.js';

// test/long has the other pairs, and other numbers of names.
describeShares(
  [
    ['under one name', 'a request each half minute'],
    ['with many short requests', 'a request each half minute'],
  ],
  [1, 40],
);
