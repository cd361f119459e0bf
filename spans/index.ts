export { activeTrace, type OpenSpan, openSpan } from './span.js';
