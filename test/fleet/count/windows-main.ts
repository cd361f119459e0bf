import { isMainThread } from 'node:worker_threads';
import { endWindow } from '../../../bench/board/marks.js';

// Loaded before a program whose instructions are counted (`node --import`): its main thread's counts are written, and begin anew, at every SIGUSR2.
if (isMainThread) process.on('SIGUSR2', endWindow);
