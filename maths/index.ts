/** Maths with the same bits on every machine: Math.exp and its like differ between builds of the runtime. */
export { exp } from './exp.js';
export { log, pow } from './log.js';
export { logSoftmax, logSumExp } from './log-softmax.js';
export { Random } from './random.js';
export { cos, sin } from './trig.js';
