export { AccessControl, type Admission, placeOf, type Token, type Tokens } from './access-control.js';
export { isLoopback, isLoopbackHost } from './loopback.js';
