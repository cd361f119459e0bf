import { useXrt } from './stand-in-xrt.js';
import { useMappedBoard } from './use-mapped-board.js';

// `use-mapped-board-main.js FOLDER [LIBRARY]` prints what was seen, for a test that runs it under another
// architecture's Node.
const [root, library] = process.argv.slice(2);
const board = await useMappedBoard(root);
const xrt = library === undefined ? undefined : useXrt(root, library);
console.log(JSON.stringify({ architecture: process.arch, board, xrt }));
