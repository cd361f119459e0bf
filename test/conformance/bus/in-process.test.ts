import { InProcessBroker } from '../../../bus/index.js';
import { busSuite } from './suite.js';

busSuite('in process', async () => {
  const broker = new InProcessBroker();
  return { connect: async () => broker.connect(), close: async () => {} };
});
