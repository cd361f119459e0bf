import { httpCompletionsSuite } from './suites/http-completions.js';
import { startHttpAgent } from './support/http-agent.js';

httpCompletionsSuite(startHttpAgent);
