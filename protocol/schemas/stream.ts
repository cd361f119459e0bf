import { z } from 'zod';
import { count } from './common.js';

/** Ends a stream by the id of the request that opened it. Ending one that has ended already does nothing. */
export const streamCloseParams = z.strictObject({ stream: count });
