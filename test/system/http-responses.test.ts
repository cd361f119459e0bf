import { httpResponsesSuite } from './suites/http-responses.js';
import { startHttpAgent } from './support/http-agent.js';

httpResponsesSuite(startHttpAgent);
