import { httpChatSuite } from './suites/http-chat.js';
import { startHttpAgent } from './support/http-agent.js';

httpChatSuite(startHttpAgent);
