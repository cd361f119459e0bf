export { AccessControl, placeOf, type Tokens } from './access-control.js';
export { isLoopback, isLoopbackHost } from './loopback.js';
