import { httpCompletionsSuite } from './suites/http-completions.js';
import { startHttpFleet } from './support/http-agent.js';

httpCompletionsSuite(startHttpFleet);
