export { AccessControl, type Admission, type Token, type Tokens } from './access-control.js';
export { isLoopback, isLoopbackHost } from './loopback.js';
export { isLetIn } from './origins.js';
