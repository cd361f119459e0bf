import { useMappedBoard } from './use-mapped-board.js';

// Prints what was seen, for a test that runs this under another architecture's Node.
console.log(JSON.stringify({ architecture: process.arch, ...(await useMappedBoard(process.argv[2])) }));
