import { httpChatSuite } from './suites/http-chat.js';
import { startHttpFleet } from './support/http-agent.js';

httpChatSuite(startHttpFleet);
