import { httpResponsesSuite } from './suites/http-responses.js';
import { startHttpFleet } from './support/http-agent.js';

httpResponsesSuite(startHttpFleet);
